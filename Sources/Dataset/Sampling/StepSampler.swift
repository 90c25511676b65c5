import LanguageModel
import NestedLearning

/// Which rows each micro-batch of each step takes: a function of the config, the data, and, with a curriculum that follows
/// them, of the evaluations before the step.
///
/// Row j of micro-batch g of step t has the index i = (t − 1)·B·G + g·B + j in the order of the rows (`RowOrder`, or
/// another `RowSampler`), with B rows a micro-batch and G micro-batches a step. With packing the same holds of packs
/// (`PackIndex`), and with `sampling_mode: length` of whole micro-batches (`LengthBatches`). Where rows are replayed,
/// `ReplayMix` says which index of which order it is. A stage of a curriculum that has data, or a batch size, of its own
/// counts from its first step (`StageRows`).
public struct StepSampler: Sendable {
  /// A row that is taken.
  public struct Row: Sendable, Equatable {
    /// From 0, among the task's rows or among those that are replayed.
    public let number: Int
    public let isReplayed: Bool
    /// The stage of the curriculum whose own data it is of; nil for the run's.
    public var stage: Int?
  }

  private let task: RowTurns
  /// Of each task its own rows, where micro-batches are of one task; else empty.
  private let tasks: [RowTurns]
  private let replay: (turns: RowTurns, mix: ReplayMix)?
  private let batchSize: Int
  private let microBatchCount: Int
  /// Nil where rows are taken one by one.
  private let lengthBatches: LengthBatches?
  private let curriculum: CurriculumMemory?
  private let difficulties: [Double]?
  /// By stage of the curriculum, of those that have rows of their own.
  private let stages: [Int: StageRows]

  /// - Parameters:
  ///   - traits: of the rows, as the config asks for them
  ///   - stages: of the curriculum, where they have data or a batch size of their own
  /// - Throws: `DataError` if there are no rows, or none that may be taken.
  public init(
    rows: RowSet, replay: RowSet? = nil, config: NestedLearningConfig, traits: RowTraits = RowTraits(),
    stages: [Int: StageRows] = [:]
  ) throws(DataError) {
    guard !rows.isEmpty else {
      throw DataError(file: config.trainDataPath, reason: "has no rows to train on", remedy: "give it rows")
    }
    task = RowTurns(rows, try traits.sampler(of: rows, config), config)
    tasks = config.tasksSchedule == .proportional ? [] : try Self.tasks(rows, config)
    lengthBatches = traits.lengthBatches(of: rows, config)
    curriculum = try RowTraits.curriculum(config).map { CurriculumMemory($0) }
    self.stages = stages
    difficulties = traits.difficulties
    batchSize = max(1, config.batchSize)
    microBatchCount = max(1, config.gradientAccumulationSteps)
    guard let replay else {
      self.replay = nil
      return
    }
    let period = config.replayAt == .boundaries ? max(1, config.tierUpdateFrequencies.last ?? 1) : 1
    // Another seed, so that two sets of as many rows are not in one order.
    let order = try RowOrder(
      rows: replay, shuffle: config.shuffle, seed: config.seed ^ 0x5265_706C_6179)
    self.replay = (
      RowTurns(replay, order, config),
      ReplayMix(share: config.replayFraction, period: period, rowsPerStep: batchSize * microBatchCount)
    )
  }

  /// - Parameters:
  ///   - step: 1-based.
  ///   - index: g, from 0.
  public func microBatch(step: Int, index: Int) -> MicroBatch {
    microBatch(of: rows(step: step, index: index))
  }

  /// Rows that ``rows(step:index:worst:)`` has given, as tokens.
  public func microBatch(of rows: [Row]) -> MicroBatch { MicroBatch(rows: rows.map(row)) }

  /// Numbers, from 0, of the rows that a micro-batch takes.
  public func rowNumbers(step: Int, index: Int) -> [Int] { rows(step: step, index: index).map(\.number) }

  /// The rows that a micro-batch takes.
  ///
  /// - Parameters:
  ///   - evaluations: of the run; those before the step are what a curriculum may follow.
  ///   - worst: with `tasks_schedule: worst_first`, which task each evaluation found to be the worst, ascending.
  public func rows(
    step: Int, index: Int, after evaluations: [EvaluatedAccuracy] = [], worst: [(step: Int, task: Int)] = []
  ) -> [Row] {
    if let lengthBatches {
      return lengthBatches.batch(at: (step - 1) * microBatchCount + index).map {
        Row(number: $0, isReplayed: false)
      }
    }
    let course = curriculum?.before(step: step, evaluations)
    let range = course?.strategy.range(at: step - 1)
    if let course, let stage = course.strategy.stage, let own = stages[stage] {
      return own.numbers(turn: turn(of: step, index, in: course), in: range).map {
        Row(number: $0, isReplayed: false, stage: own.isOfOtherData ? stage : nil)
      }
    }
    let first = index * batchSize
    if !tasks.isEmpty {
      let (task, turn) = taskTurn(step: step, index: index, worst)
      return tasks[task].numbers(turn * batchSize..<(turn + 1) * batchSize).map {
        Row(number: $0, isReplayed: false)
      }
    }
    guard let replay else {
      let start = (step - 1) * microBatchCount * batchSize + first
      return task.numbers(start..<start + batchSize, in: range).map { Row(number: $0, isReplayed: false) }
    }
    return (first..<first + batchSize).flatMap { row in
      let place = replay.mix.place(step: step, row: row)
      let turns = place.isReplayed ? replay.turns : task
      return turns.numbers(place.index..<place.index + 1, in: range).map {
        Row(number: $0, isReplayed: place.isReplayed)
      }
    }
  }

  /// The number of a micro-batch among those of its stage.
  private func turn(of step: Int, _ index: Int, in course: CurriculumCourse) -> Int {
    (step - course.firstStep) * microBatchCount + index
  }

  /// The task of a micro-batch, and how many of this task came before it: they take turns, and once an evaluation has found
  /// the worst, every one is of that.
  private func taskTurn(
    step: Int, index: Int, _ worst: [(step: Int, task: Int)]
  ) -> (task: Int, turn: Int) {
    let past = worst.filter { $0.step < step && tasks.indices.contains($0.task) }
    guard let first = past.first, let last = past.last else {
      let (turn, task) = ((step - 1) * microBatchCount + index).quotientAndRemainder(dividingBy: tasks.count)
      return (task, turn)
    }
    var turn = (first.step * microBatchCount + tasks.count - 1 - last.task) / tasks.count
    for (place, found) in past.enumerated() where found.task == last.task {
      let end = place + 1 < past.count ? past[place + 1].step : step - 1
      turn += (end - found.step) * microBatchCount
    }
    return (last.task, turn + index)
  }

  /// The rows of each task in an order of their own.
  private static func tasks(
    _ rows: RowSet, _ config: NestedLearningConfig
  ) throws(DataError) -> [RowTurns] {
    var numbers = config.tasks.map { _ in [UInt32]() }
    for number in rows.indices {
      if let task = rows.task(of: number), numbers.indices.contains(task) {
        numbers[task].append(UInt32(clamping: number))
      }
    }
    var turns: [RowTurns] = []
    for (task, numbers) in numbers.enumerated() {
      guard !numbers.isEmpty else {
        throw DataError(
          file: config.trainDataPath, key: "task",
          reason:
            "has no row of task \(config.tasks[task].name), and tasks_schedule is \(config.tasksSchedule.rawValue)",
          remedy: "give it some, or leave out the task")
      }
      // Another seed for each, so that tasks of as many rows are not in one order.
      turns.append(RowTurns(rows, of: numbers, config, seed: config.seed ^ UInt64(task + 1) << 40))
    }
    return turns
  }

  /// How the rows of a step are taken; nil where nothing goes by how difficult they are.
  public func sampling(step: Int, after evaluations: [EvaluatedAccuracy]) -> StepSampling? {
    let course = curriculum?.before(step: step, evaluations)
    let strategy = course?.strategy
    let own = strategy?.stage.flatMap { stages[$0] }
    guard let difficulties = own?.difficulties ?? difficulties else { return nil }
    let taken = (0..<microBatchCount).flatMap { index in
      rows(step: step, index: index, after: evaluations).filter { !$0.isReplayed }.map {
        difficulties[$0.number]
      }
    }
    return StepSampling(
      difficulty: taken.isEmpty ? nil : taken.reduce(0, +) / Double(taken.count),
      threshold: strategy?.range(at: step - 1).upperBound, stage: strategy?.stage,
      learningRate: strategy?.learningRate,
      epoch: course.flatMap { course in own?.epoch(after: turn(of: step, microBatchCount, in: course)) })
  }

  private func row(_ row: Row) -> TokenRow {
    if let own = row.stage.flatMap({ stages[$0] }) { return own.rows[row.number] }
    return row.isReplayed ? (replay?.turns ?? task).rows[row.number] : task.rows[row.number]
  }

  /// Tokens of a step that have a loss, over all its micro-batches: what its gradients are divided by.
  public func trainedTokens(step: Int) -> Int {
    (0..<microBatchCount).reduce(0) { sum, index in
      rows(step: step, index: index).reduce(sum) { sum, row in
        let turns = row.isReplayed ? replay?.turns ?? task : task
        return sum + turns.rows.trainedCount(of: row.number)
      }
    }
  }

  /// How often all rows of the task have been taken once step `step` is done, as metrics report it: ⌊rows taken / rows of an
  /// epoch⌋.
  public func epoch(after step: Int) -> Int {
    if let lengthBatches { return step * microBatchCount / lengthBatches.count }
    let taken =
      replay.map { $0.mix.taskRows(through: step) } ?? step * batchSize * microBatchCount
    return task.epoch(after: taken)
  }
}

extension StepSampler {
  /// The first step after so many epochs of the task's rows; one beyond the run's last where it has not so many.
  ///
  /// - Parameter count: steps of the run.
  public func firstStep(afterEpochs epochs: Int, of count: Int) -> Int {
    // Epochs never fall from step to step.
    var (low, high) = (1, count + 1)
    while low < high {
      let middle = low + (high - low) / 2
      if epoch(after: middle - 1) >= epochs { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
