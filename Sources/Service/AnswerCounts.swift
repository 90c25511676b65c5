import Foundation
import JSON

/// How many of the answers that a model gives are those of the rows.
public struct AnswerCounts: Sendable, Equatable {
  /// Rows with a prompt and an answer.
  public internal(set) var asked = 0
  /// Rows whose answer the model gives and ends, white space around it left aside.
  public internal(set) var matched = 0
  /// Of `asked`, rows whose prompt and answer do not fit into the model's positions; none of them matches.
  public internal(set) var tooLong = 0
  /// Rows that ask nothing, such as plain texts.
  public internal(set) var withoutAnswer = 0

  public var share: Double { Double(matched) / Double(max(1, asked)) }

  var json: JSONValue {
    [
      "matched": .number(matched), "rows": .number(asked), "share": .number(share),
      "too_long": .number(tooLong), "rows_without_answer": .number(withoutAnswer),
    ]
  }

  var text: String {
    String(format: "Exact match: %d of %d answers (%.1f%%)", matched, asked, share * 100)
      + (tooLong > 0 ? "; beyond the model's positions: \(tooLong)" : "")
      + (withoutAnswer > 0 ? "; rows without an answer: \(withoutAnswer)" : "")
  }
}
