import LanguageModel
import NestedLearning

/// Which rows each micro-batch of each step takes: a function of the config, the data, and, with a curriculum that follows
/// them, of the evaluations before the step.
///
/// Row j of micro-batch g of step t has the index i = (t − 1)·B·G + g·B + j in the order of the rows (`RowOrder`, or
/// another `RowSampler`), with B rows a micro-batch and G micro-batches a step. With packing the same holds of packs
/// (`PackIndex`), and with `sampling_mode: length` of whole micro-batches (`LengthBatches`). Where rows are replayed,
/// `ReplayMix` says which index of which order it is.
public struct StepSampler: Sendable {
  /// A row that is taken.
  public struct Row: Sendable, Equatable {
    /// From 0, among the task's rows or among those that are replayed.
    public let number: Int
    public let isReplayed: Bool
  }

  private let task: RowTurns
  private let replay: (turns: RowTurns, mix: ReplayMix)?
  private let batchSize: Int
  private let microBatchCount: Int
  /// Nil where rows are taken one by one.
  private let lengthBatches: LengthBatches?
  private let curriculum: (any CurriculumStrategy)?
  private let difficulties: [Double]?

  /// - Parameter traits: of the rows, as the config asks for them
  /// - Throws: `DataError` if there are no rows, or none that may be taken.
  public init(
    rows: RowSet, replay: RowSet? = nil, config: NestedLearningConfig, traits: RowTraits = RowTraits()
  ) throws(DataError) {
    guard !rows.isEmpty else {
      throw DataError(file: config.trainDataPath, reason: "has no rows to train on", remedy: "give it rows")
    }
    task = RowTurns(rows, try traits.sampler(of: rows, config), config)
    lengthBatches = traits.lengthBatches(of: rows, config)
    curriculum = try RowTraits.curriculum(config)
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
  public func microBatch(step: Int, index: Int) -> MicroBatch { microBatch(rows(step: step, index: index)) }

  /// What some rows come to.
  public func microBatch(_ rows: [Row]) -> MicroBatch { MicroBatch(rows: rows.map(row)) }

  /// Numbers, from 0, of the rows that a micro-batch takes.
  public func rowNumbers(step: Int, index: Int) -> [Int] { rows(step: step, index: index).map(\.number) }

  /// The rows that a micro-batch takes.
  ///
  /// - Parameter evaluations: of the run; those before the step are what a curriculum may follow.
  public func rows(step: Int, index: Int, after evaluations: [EvaluatedAccuracy] = []) -> [Row] {
    if let lengthBatches {
      return lengthBatches.batch(at: (step - 1) * microBatchCount + index).map {
        Row(number: $0, isReplayed: false)
      }
    }
    let range = curriculum?.before(step: step, evaluations).range(at: step - 1)
    let first = index * batchSize
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

  /// How the rows of a step are taken; nil where nothing goes by how difficult they are.
  public func sampling(step: Int, after evaluations: [EvaluatedAccuracy]) -> StepSampling? {
    guard let difficulties else { return nil }
    let strategy = curriculum?.before(step: step, evaluations)
    let taken = (0..<microBatchCount).flatMap { index in
      rows(step: step, index: index, after: evaluations).filter { !$0.isReplayed }.map {
        difficulties[$0.number]
      }
    }
    return StepSampling(
      difficulty: taken.isEmpty ? nil : taken.reduce(0, +) / Double(taken.count),
      threshold: strategy?.range(at: step - 1).upperBound, stage: strategy?.stage,
      learningRate: strategy?.learningRate)
  }

  private func row(_ row: Row) -> TokenRow {
    row.isReplayed ? (replay?.turns ?? task).rows[row.number] : task.rows[row.number]
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

/// Rows in the order in which they are taken, one by one or in packs.
private struct RowTurns: Sendable {
  let rows: RowSet
  private let sampler: any RowSampler
  /// nil: one row by itself.
  private let packs: PackIndex?

  init(_ rows: RowSet, _ sampler: any RowSampler, _ config: NestedLearningConfig) {
    self.rows = rows
    self.sampler = sampler
    packs =
      config.packing
      ? PackIndex(maxLength: config.maxSeqLength) { rows.length(of: sampler.row(at: $0, in: nil)) } : nil
  }

  /// Numbers of the rows that are at some places of the order, or in the packs with these numbers.
  func numbers(_ places: Range<Int>, in range: ClosedRange<Double>?) -> [Int] {
    (packs.map { $0.places(ofPacks: places) } ?? places).map { sampler.row(at: $0, in: range) }
  }

  func epoch(after taken: Int) -> Int {
    (packs?.places(ofPacks: taken..<taken).lowerBound ?? taken) / sampler.count
  }
}
