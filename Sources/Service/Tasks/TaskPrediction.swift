import Foundation
import JSON
import LanguageModel

/// What a model makes of a text for one of its tasks.
public struct TaskPrediction: Sendable {
  /// A label with how likely the model holds it.
  public struct Choice: Sendable, Equatable {
    public let label: String
    public let probability: Double
  }

  /// 1-based; that where the row begins; 0 of a text that is no row.
  public let line: Int
  public let task: String
  /// Of classification the label, of language modelling the token that follows; the likeliest, of equals the first.
  public let choice: Choice?
  /// Of classification every label, in the order of the task.
  public let all: [Choice]
  /// Of token classification each word with the likeliest label; nil of one that has no token of its own.
  public let words: [(word: String, choice: Choice?)]

  public var json: JSONValue {
    var members = JSONObject()
    if line > 0 { members["line"] = .number(line) }
    members["task"] = .string(task)
    if let choice {
      members["label"] = .string(choice.label)
      members["probability"] = .number(choice.probability)
    }
    if !all.isEmpty {
      members["probabilities"] = .object(
        JSONObject(all.map { .init(key: $0.label, value: .number($0.probability)) }))
    }
    if !words.isEmpty {
      members["text"] = .strings(words.map(\.word))
      members["label"] = .array(words.map { $0.choice.map { .string($0.label) } ?? .null })
      members["probability"] = .array(words.map { $0.choice.map { .number($0.probability) } ?? .null })
    }
    return .object(members)
  }

  public var description: String {
    let place = line > 0 ? "\(line) " : ""
    func shown(_ choice: Choice) -> String {
      String(format: "%@ (%.1f%%)", choice.label, choice.probability * 100)
    }
    let words = words.map { word, choice in "\(word)/\(choice?.label ?? "?")" }.joined(separator: " ")
    return "\(place)\(task): \(choice.map(shown) ?? words)"
  }
}
