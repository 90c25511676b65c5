import JSON

/// The chat template of a model: turns a conversation into the text that the model was trained on, byte for byte as
/// transformers' `apply_chat_template` does.
///
/// Templates are programs in Jinja and come from outside. They run here with limits on work, memory and depth, so that
/// none hangs or stops a program; what goes beyond is an error that names the template and the line.
public struct ChatTemplate: Sendable {
  /// A template, and what errors call it.
  struct Named: Sendable {
    let name: String
    let parsed: ParsedTemplate

    init(source: String, name: String) throws(ChatTemplateError) {
      self.name = name
      do { parsed = try Parser.parse(source) } catch {
        throw ChatTemplateError(template: name, line: error.line, error.reason)
      }
    }
  }

  private let standard: Named
  /// For conversations with tools, where there is one.
  private let withTools: Named?
  /// By their names in templates: `bos_token`, `eos_token` and so on.
  public let specialTokens: [String: String]

  /// - Parameters:
  ///   - source: The Jinja template.
  ///   - name: What errors call it, such as the path of its file.
  ///   - specialTokens: By their names in the template, such as `bos_token`.
  public init(source: String, name: String, specialTokens: [String: String] = [:]) throws(ChatTemplateError) {
    self.init(standard: try Named(source: source, name: name), withTools: nil, specialTokens: specialTokens)
  }

  init(standard: Named, withTools: Named?, specialTokens: [String: String]) {
    self.standard = standard
    self.withTools = withTools
    self.specialTokens = specialTokens
  }

  /// Renders a conversation.
  ///
  /// As in transformers, keys of a message that are null are left out, and reasoning that is given as
  /// `reasoning_content`, `thinking` or `reasoning` is found under the first two.
  ///
  /// - Parameters:
  ///   - messages: Objects with `role`, `content`, `tool_calls` and so on.
  ///   - tools: A list of objects; nil or null where the row has none.
  ///   - documents: A list of objects, for templates that show documents to the model.
  ///   - addGenerationPrompt: Whether the text ends with what makes the model answer.
  ///   - variables: What else the template may ask for, such as `enable_thinking`. They win over special tokens.
  ///   - date: What `strftime_now` shows.
  public func render(
    messages: [JSONValue], tools: JSONValue? = nil, documents: JSONValue? = nil,
    addGenerationPrompt: Bool = false, variables: JSONObject = [:], date: TemplateDate
  ) throws(ChatTemplateError) -> String {
    let conversation = try conversation(messages, tools, documents, variables, date)
    return try conversation.render(messages.count, addGenerationPrompt: addGenerationPrompt)
  }

  /// Renders a conversation and finds, in the text, what each assistant turn adds.
  ///
  /// A turn adds what rendering the messages up to it has beyond rendering those before it with the generation prompt;
  /// where the latter is no beginning of the former, beyond the longest beginning that they share. Where the template
  /// shows the turn otherwise once more messages follow, as those do that drop earlier reasoning, it is not found.
  public func renderForTraining(
    messages: [JSONValue], tools: JSONValue? = nil, documents: JSONValue? = nil,
    variables: JSONObject = [:], date: TemplateDate
  ) throws(ChatTemplateError) -> RenderedConversation {
    var finder = try TurnFinder(conversation(messages, tools, documents, variables, date), messages)
    return finder.find()
  }

  private func conversation(
    _ messages: [JSONValue], _ tools: JSONValue?, _ documents: JSONValue?, _ variables: JSONObject,
    _ date: TemplateDate
  ) throws(ChatTemplateError) -> Conversation {
    let tools = tools.flatMap { $0.isNull ? nil : $0 }
    let template = tools == nil ? standard : withTools ?? standard
    do {
      return try Conversation(
        template: template, messages: messages, tools: tools, documents: documents,
        specialTokens: specialTokens, variables: variables, date: date)
    } catch {
      throw ChatTemplateError(template: template.name, error.reason)
    }
  }
}
