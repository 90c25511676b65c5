import Dataset
import Foundation
import JSON
import Kernels

/// What a model makes of a file: means over all trained tokens.
public struct Evaluation: Sendable {
  /// The sum of token losses over the number of trained tokens, in nats.
  public let loss: Double
  /// Trained tokens that are the likeliest by the model, of equals the one with the lowest id.
  public let correctTokens: Int
  /// The mean of KL(p_base ‖ p) over trained tokens and the whole vocabulary, in nats; nil if it was not asked for.
  public let divergence: Double?
  /// nil if it was not asked for.
  public let answers: AnswerCounts?
  /// Of an adapter with heads of tasks: of each, in their order; `loss` and `accuracy` are then of all labels together.
  public var tasks: [(name: String, metrics: TaskMetrics)] = []
  public let tokens: Int
  public let rows: Int
  /// What became of the rows of each file.
  public let reports: [RowReport]

  public var perplexity: Double { Self.perplexity(loss) }
  /// The share of trained tokens that are the likeliest.
  public var accuracy: Double { Double(correctTokens) / Double(max(1, tokens)) }

  /// e to the loss, held finite so that it can be written as JSON.
  static func perplexity(_ loss: Double) -> Double { min(nl_exp(loss), .greatestFiniteMagnitude) }

  public var json: JSONValue {
    var members: JSONObject = [
      "loss": .number(loss), "perplexity": .number(perplexity), "accuracy": .number(accuracy),
      "tokens": .number(tokens), "rows": .number(rows),
      "long_rows": LongRowCounts.sum(reports.map(\.long))?.json ?? .null,
    ]
    if !tasks.isEmpty {
      members["perplexity"] = nil
      members["tasks"] = .object(JSONObject(tasks.map { .init(key: $0.name, value: $0.metrics.json) }))
    }
    if let divergence { members["kl_to_base"] = .number(divergence) }
    if let answers { members["exact_match"] = answers.json }
    return .object(members)
  }

  public var text: String {
    guard tasks.isEmpty else {
      return
        (tasks.map { "\($0.name): \($0.metrics.text)" } + ["\(rows) rows, \(tokens) labels"]
        + reports.flatMap(\.remarks)).joined(separator: "\n")
    }
    var parts = [
      String(format: "Loss: %.4f", loss), String(format: "Perplexity: %.2f", perplexity),
      String(format: "Accuracy: %.1f%%", accuracy * 100),
    ]
    if let divergence { parts.append(String(format: "KL to the base: %.4g", divergence)) }
    parts.append("\(rows) rows, \(tokens) tokens")
    return parts.joined(separator: " | ") + (answers.map { "\n" + $0.text } ?? "")
      + reports.flatMap(\.remarks).map { "\n" + $0 }.joined()
  }
}
