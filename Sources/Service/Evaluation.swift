import Dataset
import Foundation
import JSON
import Kernels
import LanguageModel

/// The loss of a model on a file: the sum of token losses over the number of trained tokens.
public struct Evaluation: Sendable {
  public let loss: Double
  public let tokens: Int
  public let rows: Int
  /// What became of the rows of each file.
  public let reports: [RowReport]

  public var perplexity: Double { Self.perplexity(loss) }

  /// e to the loss, held finite so that it can be written as JSON.
  static func perplexity(_ loss: Double) -> Double { min(nl_exp(loss), .greatestFiniteMagnitude) }

  public var json: JSONValue {
    [
      "loss": .number(loss), "perplexity": .number(perplexity), "tokens": .number(tokens),
      "rows": .number(rows), "long_rows": LongRowCounts.sum(reports.map(\.long))?.json ?? .null,
    ]
  }

  public var text: String {
    String(format: "Loss: %.4f | Perplexity: %.2f | %d rows, %d tokens", loss, perplexity, rows, tokens)
      + reports.flatMap(\.remarks).map { "\n" + $0 }.joined()
  }
}
