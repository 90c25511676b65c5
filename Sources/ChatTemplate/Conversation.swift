import JSON

/// Messages and what goes with them, as values of a template.
struct Conversation {
  private let template: ChatTemplate.Named
  private let messages: [Value]
  private let variables: [(name: String, value: Value)]
  private let date: TemplateDate

  init(
    template: ChatTemplate.Named, messages: [JSONValue], tools: JSONValue?, documents: JSONValue?,
    specialTokens: [String: String], variables: JSONObject, date: TemplateDate
  ) throws(Failure) {
    self.template = template
    self.date = date
    guard !messages.isEmpty else { throw Failure("a conversation without messages") }
    var values: [Value] = []
    for (i, message) in messages.enumerated() {
      guard let object = message.object else {
        throw Failure("message \(i + 1) is \(message.kind), not an object")
      }
      values.append(try Value(.object(Self.normalized(object))))
    }
    self.messages = values
    var given: [(name: String, value: Value)] = specialTokens.map { ($0.key, .string($0.value)) }
    for member in variables.members { given.append((member.key, try Value(member.value))) }
    given.append(("tools", try Self.list(of: tools, "tools")))
    given.append(("documents", try Self.list(of: documents, "documents")))
    self.variables = given
  }

  private static func list(of json: JSONValue?, _ name: String) throws(Failure) -> Value {
    guard let json, !json.isNull else { return .none }
    guard let items = json.array else { throw Failure("'\(name)' is \(json.kind), not a list of objects") }
    for item in items where item.object == nil {
      throw Failure("'\(name)' has \(item.kind), not objects alone")
    }
    return try Value(json)
  }

  /// Without keys that are null, and with reasoning under the names that templates read.
  private static func normalized(_ message: JSONObject) -> JSONObject {
    var members = message.members.filter { !$0.value.isNull }
    func value(_ key: String) -> JSONValue? {
      members.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }
    guard let reasoning = value("reasoning_content") ?? value("thinking") ?? value("reasoning") else {
      return JSONObject(members)
    }
    let thinking = value("thinking") ?? reasoning
    members.removeAll { $0.key.utf8.elementsEqual("thinking".utf8) }
    members.insert(.init(key: "thinking", value: thinking), at: 0)
    var object = JSONObject(members)
    object["reasoning_content"] = reasoning
    return object
  }

  /// Renders the first messages.
  func render(_ count: Int, addGenerationPrompt: Bool) throws(ChatTemplateError) -> String {
    do {
      var variables = variables
      variables.append(("messages", try .list(Array(messages.prefix(count)))))
      variables.append(("add_generation_prompt", .bool(addGenerationPrompt)))
      return try Renderer.render(template.parsed, variables: variables, date: date)
    } catch {
      throw ChatTemplateError(template: template.name, line: error.line, error.reason)
    }
  }
}
