import JSON

/// What a row says, whatever its kind.
enum RowContent: Sendable {
  case text(String)
  /// Raw text; the completion is what is trained.
  case completion(prompt: String, completion: String)
  /// For the chat template; the assistant's turns from message `firstTrained` on are what is trained.
  case conversation(messages: [JSONValue], tools: JSONValue?, firstTrained: Int)
  case task(TaskContent)
}

/// Reads the content of rows. Errors name the key; the line is for the caller to add.
struct RowReader {
  /// What is wrong with a row.
  struct Fault: Error {
    let key: String?
    let reason: String
    var remedy: String?
  }

  let row: JSONObject

  /// What of alpaca's format stands before a response: that with an input, and that without, of Stanford's project.
  static let alpacaHead =
    "Below is an instruction that describes a task"
  static let alpacaWithInput =
    ", paired with an input that provides further context. Write a response that appropriately completes the request."
  static let alpacaWithoutInput = ". Write a response that appropriately completes the request."

  func content(_ kind: RowKind) throws(Fault) -> RowContent {
    switch kind {
    case .text: return .text(try string("text"))
    case .alpaca:
      return .completion(prompt: try alpacaPrompt(), completion: try string("output"))
    case .completion: return try completion()
    case .messages:
      return .conversation(
        messages: try messages("messages"), tools: try tools(), firstTrained: 0)
    case .conversations:
      return .conversation(messages: try conversation(), tools: try tools(), firstTrained: 0)
    case .task: throw Fault(key: "task", reason: "is of no run without tasks")
    }
  }

  private func string(_ key: String) throws(Fault) -> String {
    let value = row[key] ?? .null
    guard let text = value.string else {
      throw Fault(key: key, reason: "must be a string, not \(value.kind)")
    }
    return text
  }

  private func alpacaPrompt() throws(Fault) -> String {
    let input = row["input"].map(\.isNull) ?? true ? "" : try string("input")
    return Self.alpacaHead + (input.isEmpty ? Self.alpacaWithoutInput : Self.alpacaWithInput)
      + "\n\n### Instruction:\n\(try string("instruction"))"
      + (input.isEmpty ? "" : "\n\n### Input:\n\(input)") + "\n\n### Response:"
  }

  private func completion() throws(Fault) -> RowContent {
    switch (row["prompt"], row["completion"]) {
    case (.string(let prompt), .string(let completion)):
      return .completion(prompt: prompt, completion: completion)
    case (.array(let prompt), .array):
      return .conversation(
        messages: try messages("prompt") + messages("completion"), tools: try tools(),
        firstTrained: prompt.count)
    case (let prompt, let completion):
      throw Fault(
        key: "prompt",
        reason: "is \((prompt ?? .null).kind), and completion is \((completion ?? .null).kind)",
        remedy: "give two strings, or two lists of messages")
    }
  }

  /// Messages are left as they are, for the template; only that each has a role is looked at.
  private func messages(_ key: String) throws(Fault) -> [JSONValue] {
    let list = try list(key)
    for (index, message) in list.enumerated() {
      guard message.object != nil else {
        throw Fault(key: "\(key)[\(index)]", reason: "must be an object, not \(message.kind)")
      }
      guard message["role"]?.string != nil else {
        throw Fault(
          key: "\(key)[\(index)].role", reason: "must be a string",
          remedy: "a message has a role and a content")
      }
    }
    return list
  }

  /// The functions that the model may call; nil if there are none.
  private func tools() throws(Fault) -> JSONValue? {
    guard let value = row["tools"], !value.isNull else { return nil }
    if value.string.map({ $0.allSatisfy(\.isWhitespace) }) == true { return nil }
    return .array(try list("tools"))
  }

  /// A list, or the text of one, as tables have it.
  private func list(_ key: String) throws(Fault) -> [JSONValue] {
    let value = row[key] ?? .null
    if let list = value.array ?? value.string.flatMap({ try? JSONValue(parsing: $0).array }) { return list }
    throw Fault(key: key, reason: "must be a list, not \(value.kind)")
  }

  // MARK: ShareGPT

  private static let roles = [
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "model": "assistant", "bot": "assistant", "function_call": "assistant", "system": "system",
    "tool": "tool",
    "observation": "tool", "function_response": "tool",
  ]

  /// `conversations`, of `from` and `value`, or of `role` and `content`; a `system` beside it goes first.
  private func conversation() throws(Fault) -> [JSONValue] {
    let list = try list("conversations")
    var messages: [JSONValue] = []
    if let system = row["system"]?.string, !system.isEmpty {
      messages.append(["role": "system", "content": .string(system)])
    }
    for (index, message) in list.enumerated() {
      messages.append(try turn(message, "conversations[\(index)]"))
    }
    return messages
  }

  private func turn(_ message: JSONValue, _ place: String) throws(Fault) -> JSONValue {
    if message["role"]?.string != nil { return message }
    guard let from = message["from"]?.string else {
      throw Fault(key: place, reason: "has neither from nor role", remedy: "a turn has from and value")
    }
    guard let role = Self.roles[from] else {
      throw Fault(
        key: "\(place).from", reason: "\"\(from)\" is not known",
        remedy: "known are \(Self.roles.keys.sorted().joined(separator: ", "))")
    }
    guard let text = message["value"]?.string else {
      throw Fault(key: "\(place).value", reason: "must be a string, not \((message["value"] ?? .null).kind)")
    }
    if from == "function_call", let call = try? JSONValue(parsing: text), call["name"]?.string != nil {
      return [
        "role": "assistant", "content": "",
        "tool_calls": [["type": "function", "function": call]],
      ]
    }
    return ["role": .string(role), "content": .string(text)]
  }
}
