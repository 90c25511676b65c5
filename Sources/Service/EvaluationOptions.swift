import NestedLearning

/// What is measured on a file of rows, and how.
public struct EvaluationOptions: Sendable {
  /// Rows, or packs of rows, in a micro-batch.
  public var batchSize = 8
  /// Tokens of a row at most; nil: 512, or as many as the model has positions if these are fewer.
  public var maxSequenceLength: Int?
  public var longRows = LongRows.cut
  public var trainOn = TrainOn.completions
  public var packing = false
  /// What chat templates see, as `2026-11-29`; nil: today.
  public var date: String?
  /// Whether the model's distributions are compared with those of its base.
  public var comparesBase = false
  /// Whether answers are generated and compared with those of the rows.
  public var matchesAnswers = false

  public init() {}
}

/// How far an evaluation has come, in one of its parts.
public struct EvaluationProgress: Sendable {
  /// As for a progress bar: `Evaluating`.
  public let label: String
  public let rows: Int
  public let totalRows: Int
}
