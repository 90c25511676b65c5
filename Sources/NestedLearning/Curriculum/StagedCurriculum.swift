/// One stage of a curriculum.
public struct CurriculumStage: Sendable, Equatable {
  /// Difficulties that are taken, from 0 to 1.
  public let range: ClosedRange<Double>
  /// The accuracy with which the next stage begins.
  public let target: Double
  /// The base learning rate; nil: that of the run.
  public let learningRate: Double?
  /// Periods of the tiers; nil: those of the run. Each tier takes its own once its window is closed.
  public var frequencies: [Int]?
  /// Modules that are in other tiers than the run has them in, as `manual_tier_map` says it; nil: none. They move once all
  /// tiers that lose or gain some are updated by the same step.
  public var tierMap: ManualTierMap?
  /// What its rows are taken from, in place of the run's training data; empty: that.
  public var data: [WeightedPath] = []
  /// Rows of a micro-batch; nil: as many as the run's have.
  public var batchSize: Int?

  public init(
    range: ClosedRange<Double> = 0...1, target: Double, learningRate: Double? = nil,
    frequencies: [Int]? = nil, tierMap: ManualTierMap? = nil, data: [WeightedPath] = [], batchSize: Int? = nil
  ) {
    self.range = range
    self.target = target
    self.learningRate = learningRate
    self.frequencies = frequencies
    self.tierMap = tierMap
    self.data = data
    self.batchSize = batchSize
  }

  /// Whether it takes rows of its own, or other numbers of them.
  public var hasOwnRows: Bool { !data.isEmpty || batchSize != nil }

  /// Easy, medium and hard rows: 0 to .3, .3 to .7, .7 to 1.
  public static let standard = [
    CurriculumStage(range: 0...0.3, target: 0.7), CurriculumStage(range: 0.3...0.7, target: 0.7),
    CurriculumStage(range: 0.7...1, target: 0.7),
  ]
}

/// Stages one after the other, each with the difficulties, the target accuracy and the learning rate of its own. The next
/// one begins once `patience` evaluations in a row have reached the target; the last one stays.
public struct StagedCurriculum: CurriculumStrategy, Equatable {
  public let stages: [CurriculumStage]
  public let patience: Int
  private var current = 0
  /// Evaluations in a row that have reached the target.
  private var reached = 0

  /// - Throws: `CurriculumError` if there is no stage, or one has a range or a target beyond [0, 1], or ends below the one
  ///   before.
  public init(stages: [CurriculumStage] = CurriculumStage.standard, patience: Int = 1) throws(CurriculumError)
  {
    guard !stages.isEmpty else { throw CurriculumError("stages", "is empty", "give one, or leave it out") }
    var end = 0.0
    for (number, stage) in stages.enumerated() {
      guard (0...1).contains(stage.range.lowerBound), (0...1).contains(stage.range.upperBound),
        (0...1).contains(stage.target)
      else {
        throw CurriculumError(
          "stages", "stage \(number) has a range or a target beyond 0 to 1",
          "difficulties and accuracies are from 0 to 1")
      }
      guard stage.range.upperBound >= end else {
        throw CurriculumError(
          "stages", "stage \(number) ends at \(stage.range.upperBound), below the one before (\(end))",
          "put the stages in the order of their difficulty")
      }
      end = stage.range.upperBound
    }
    self.stages = stages
    self.patience = max(1, patience)
  }

  public func threshold(at step: Int) -> Double { stages[current].range.upperBound }
  public func range(at step: Int) -> ClosedRange<Double> { stages[current].range }

  public mutating func update(accuracy: Double) {
    reached = accuracy >= stages[current].target ? reached + 1 : 0
  }

  public var shouldAdvance: Bool { reached >= patience && current + 1 < stages.count }

  public mutating func advance() {
    guard current + 1 < stages.count else { return }
    current += 1
    reached = 0
  }

  public var stage: Int? { current }
  public var learningRate: Double? { stages[current].learningRate }
  public var followsEvaluations: Bool { true }
}
