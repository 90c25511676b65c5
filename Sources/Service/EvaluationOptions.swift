import JSON
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
  /// Whether an answer also counts that begins as the row's and goes on: base models do not end where a row does.
  public var answersMayGoOn = false
  /// Is told of each answer.
  public var onAnswer: (@Sendable (GivenAnswer) throws -> Void)?

  public init() {}
}

/// What a model has answered to the prompt of a row.
public struct GivenAnswer: Sendable, Equatable {
  /// 1-based; that where the row begins.
  public let line: Int
  /// That of the row, and that of the model as far as it could still become the row's.
  public let expected: String
  public let given: String
  public let matches: Bool

  /// One line of a file of answers.
  public var json: JSONValue {
    [
      "line": .number(line), "expected": .string(expected), "given": .string(given),
      "matches": .bool(matches),
    ]
  }
}

/// How far an evaluation has come, in one of its parts.
public struct EvaluationProgress: Sendable {
  /// As for a progress bar: `Evaluating`.
  public let label: String
  public let rows: Int
  public let totalRows: Int
}
