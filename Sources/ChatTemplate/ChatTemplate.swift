import JSON

/// The chat template of a model: turns a conversation into the text that the model was trained on, byte for byte as
/// transformers' `apply_chat_template` does.
public struct ChatTemplate: Sendable {
  /// Reads the template of a model folder as transformers does, with the special tokens of `tokenizer_config.json`.
  ///
  /// - Throws: A `ChatTemplateError` that names the file if there is no template, or one that cannot be read.
  public init(modelFolder: String) throws(ChatTemplateError) {
    throw ChatTemplateError(template: modelFolder, "chat templates are not read yet")
  }

  /// - Parameters:
  ///   - source: The Jinja template.
  ///   - name: What errors call it, such as the path of its file.
  ///   - specialTokens: By their names in the template, such as `bos_token`.
  public init(source: String, name: String, specialTokens: [String: String] = [:]) throws(ChatTemplateError) {
    throw ChatTemplateError(template: name, "chat templates are not read yet")
  }

  /// Whether a folder has a chat template; what is wrong with it shows when it is read.
  public static func exists(in modelFolder: String) -> Bool { false }

  /// Renders a conversation.
  ///
  /// - Parameters:
  ///   - messages: Objects with `role`, `content`, `tool_calls` and so on.
  ///   - tools: A list of objects; nil where the row has none.
  ///   - documents: A list of objects, for templates that show documents to the model.
  ///   - addGenerationPrompt: Whether the text ends with what makes the model answer.
  ///   - variables: What else the template may ask for, such as `enable_thinking`. They win over special tokens.
  ///   - date: What `strftime_now` shows.
  public func render(
    messages: [JSONValue], tools: JSONValue? = nil, documents: JSONValue? = nil,
    addGenerationPrompt: Bool = false, variables: JSONObject = [:], date: TemplateDate
  ) throws(ChatTemplateError) -> String {
    throw ChatTemplateError(template: "", "chat templates are not rendered yet")
  }

  /// Renders a conversation and finds, in the text, what each assistant turn adds.
  public func renderForTraining(
    messages: [JSONValue], tools: JSONValue? = nil, documents: JSONValue? = nil,
    variables: JSONObject = [:], date: TemplateDate
  ) throws(ChatTemplateError) -> RenderedConversation {
    throw ChatTemplateError(template: "", "chat templates are not rendered yet")
  }
}
