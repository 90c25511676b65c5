import JSON

/// What a row of a data file is, by its keys. Each row is decided by itself.
public enum RowKind: String, Sendable, CaseIterable {
  case completion = "prompt/completion"
  case messages
  case conversations
  case alpaca
  case text
  /// Of one of the tasks of a run that has some: no row is by itself.
  case task

  /// The keys by which a row is of this kind. A value of null counts as no key: tables with columns of several kinds
  /// have them.
  var keys: [String] {
    switch self {
    case .completion: ["prompt", "completion"]
    case .messages: ["messages"]
    case .conversations: ["conversations"]
    case .alpaca: ["instruction", "output"]
    case .text: ["text"]
    case .task: ["task", "text", "label"]
    }
  }

  /// The first kind of which a row has all keys: where a row has more than one, the text is mostly a rendering of the
  /// others. nil if there is none.
  init?(of row: JSONObject) {
    let found = Self.allCases.first { kind in
      kind != .task && kind.keys.allSatisfy { key in row[key].map { !$0.isNull } ?? false }
    }
    guard let found else { return nil }
    self = found
  }

  /// Keys that a header of a table may have.
  static let tableKeys = [
    "text", "prompt", "completion", "instruction", "output", "messages", "conversations",
  ]

  /// For messages: what rows there are.
  static let remedy =
    "a row has text, or prompt and completion, or messages, or conversations, or instruction and output"
}
