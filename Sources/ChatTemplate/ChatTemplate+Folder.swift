import Files
import JSON

extension ChatTemplate {
  /// Reads the template of a model folder as transformers does: `chat_template.jinja` and
  /// `additional_chat_templates/*.jinja`, else `chat_template` of `tokenizer_config.json` (one, or several by name), else
  /// `chat_template.json`. Of several, `tool_use` is for conversations with tools, `default` for the others. The special
  /// tokens are those of `tokenizer_config.json`, with those of `special_tokens_map.json` where that still counts.
  ///
  /// - Throws: A `ChatTemplateError` that names the file if there is no template, or one that cannot be read.
  public init(modelFolder: String) throws(ChatTemplateError) {
    let folder = TemplateFolder(modelFolder)
    let sources = try folder.sources()
    guard !sources.isEmpty else {
      throw ChatTemplateError(
        template: modelFolder,
        "there is no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json. "
          + "A model without one is a base model; take its instruct version, or put a chat_template.jinja there"
      )
    }
    let tools = try sources["tool_use"].map { (source) throws(ChatTemplateError) in
      try Named(source: source.text, name: source.name)
    }
    guard let source = sources["default"] else {
      throw ChatTemplateError(
        template: modelFolder,
        "its chat templates are \(sources.keys.sorted().joined(separator: ", ")), and none is the default")
    }
    self.init(
      standard: try Named(source: source.text, name: source.name), withTools: tools,
      specialTokens: try folder.specialTokens())
  }

  /// Whether a folder has a chat template; what is wrong with it shows when it is read.
  public static func exists(in modelFolder: String) -> Bool {
    guard let sources = try? TemplateFolder(modelFolder).sources() else { return true }
    return !sources.isEmpty
  }
}

/// The files of a model folder that have to do with its chat template.
struct TemplateFolder {
  struct Source {
    let text: String
    /// What errors call it.
    let name: String
  }

  private let folder: String

  init(_ folder: String) { self.folder = folder }

  func sources() throws(ChatTemplateError) -> [String: Source] {
    var sources = try additional()
    let path = folder + "/chat_template.jinja"
    if FileSystem.kind(path) == .file { sources["default"] = try read(path) }
    if !sources.isEmpty { return sources }
    for file in ["tokenizer_config.json", "chat_template.json"] {
      let path = folder + "/" + file
      guard let value = try json(path)?["chat_template"], !value.isNull else { continue }
      return try Self.sources(in: value, path)
    }
    return [:]
  }

  private func additional() throws(ChatTemplateError) -> [String: Source] {
    let path = folder + "/additional_chat_templates"
    guard FileSystem.kind(path) == .folder else { return [:] }
    let names: [String]
    do { names = try FileSystem.names(in: path) } catch {
      throw ChatTemplateError(template: path, error.description)
    }
    var sources: [String: Source] = [:]
    for name in names where name.hasSuffix(".jinja") {
      sources[String(name.dropLast(6))] = try read(path + "/" + name)
    }
    return sources
  }

  /// One template, or a list of `{"name", "template"}`.
  private static func sources(in value: JSONValue, _ path: String) throws(ChatTemplateError) -> [String:
    Source]
  {
    let name = path + ": chat_template"
    if let text = value.string { return ["default": Source(text: text, name: name)] }
    guard let items = value.array else {
      throw ChatTemplateError(template: name, "\(value.kind), not a string or a list of templates")
    }
    var sources: [String: Source] = [:]
    for item in items {
      guard let key = item["name"]?.string, let text = item["template"]?.string else {
        throw ChatTemplateError(template: name, "an entry without 'name' and 'template'")
      }
      sources[key] = Source(text: text, name: name + " \"\(key)\"")
    }
    return sources
  }

  func specialTokens() throws(ChatTemplateError) -> [String: String] {
    let config = try json(folder + "/tokenizer_config.json")
    var tokens = config.map(Self.specialTokens) ?? [:]
    if config?["added_tokens_decoder"] == nil, let map = try json(folder + "/special_tokens_map.json") {
      tokens.merge(Self.specialTokens(in: map)) { _, new in new }
    }
    return tokens
  }

  private static func specialTokens(in json: JSONValue) -> [String: String] {
    var tokens: [String: String] = [:]
    for name in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] {
      let value = json[name + "_token"]
      tokens[name + "_token"] = value?.string ?? value?["content"]?.string
    }
    return tokens
  }

  private func read(_ path: String) throws(ChatTemplateError) -> Source {
    let bytes: [UInt8]
    do { bytes = try AtomicFile.read(path) } catch {
      throw ChatTemplateError(template: path, error.description)
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ChatTemplateError(template: path, "the file is not UTF-8")
    }
    return Source(text: text, name: path)
  }

  /// Nil if there is no such file.
  private func json(_ path: String) throws(ChatTemplateError) -> JSONValue? {
    guard FileSystem.kind(path) == .file else { return nil }
    let source = try read(path)
    do { return try JSONValue(parsing: source.text) } catch {
      throw ChatTemplateError(template: path, line: error.line, error.reason)
    }
  }
}
