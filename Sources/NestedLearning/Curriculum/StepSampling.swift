/// How the rows of a step were taken, for metrics and for the step's rate.
public struct StepSampling: Sendable, Equatable {
  /// Mean over the step's rows of the task; nil if nothing goes by how difficult they are.
  public var difficulty: Double?
  /// The most that a curriculum lets a row have; nil without one.
  public var threshold: Double?
  /// From 0; nil of a curriculum without stages.
  public var stage: Int?
  /// The base learning rate of the stage; nil: that of the run.
  public var learningRate: Double?

  /// How often the rows of a stage that has some of its own, or other numbers of them, have been taken in it; nil: by the
  /// run's.
  public var epoch: Int?

  public init(
    difficulty: Double? = nil, threshold: Double? = nil, stage: Int? = nil, learningRate: Double? = nil,
    epoch: Int? = nil
  ) {
    self.difficulty = difficulty
    self.threshold = threshold
    self.stage = stage
    self.learningRate = learningRate
    self.epoch = epoch
  }
}
