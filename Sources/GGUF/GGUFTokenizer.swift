import JSON
import LanguageModel

/// The tokenizer files that a GGUF file's metadata amount to.
struct GGUFTokenizer {
  /// `tokenizer.json`
  let tokenizer: JSONValue
  /// `tokenizer_config.json`
  let config: JSONValue
  /// `special_tokens_map.json`
  let specialTokens: JSONValue
  /// File names below the model folder, and the texts of the templates.
  let chatTemplates: [(file: String, text: String)]
  /// What a user should know, in words.
  private(set) var remarks: [String] = []

  /// - Returns: nil if the file has no tokenizer.
  init?(metadata: GGUFMetadata, rules: TokenizerRules, maxPositions: Int) throws(ModelError) {
    guard let model = try metadata.string("tokenizer.ggml.model"), model != "none", model != "no_vocab" else {
      return nil
    }
    let vocabulary = try GGUFVocabulary(metadata: metadata, isByteLevel: model == "gpt2")
    let special = try GGUFSpecialTokens(metadata: metadata)
    let named = NamedTokens(special, vocabulary)
    let parts: GGUFTokenizerParts
    switch model {
    case "gpt2":
      parts = try .byteLevel(vocabulary, named: named, metadata: metadata, rules: rules)
    case "llama":
      parts = try .sentencePiece(vocabulary, named: named, metadata: metadata, rules: rules)
    default:
      throw metadata.fault(
        "tokenizer.ggml.model",
        "\"\(model)\" is not supported; it must be gpt2 (byte-level BPE) or llama "
          + "(SentencePiece). A tokenizer can be taken from elsewhere with --tokenizer DIR")
    }
    remarks = parts.remarks
    let addsBOS = try metadata.bool("tokenizer.ggml.add_bos_token") ?? parts.addsBOS
    let addsEOS = try metadata.bool("tokenizer.ggml.add_eos_token") ?? false
    tokenizer = parts.json(
      addedTokens: try vocabulary.added(named: named, isByteLevel: model == "gpt2", rules: rules),
      before: addsBOS ? named.bos : nil, after: addsEOS ? named.eos : nil)
    specialTokens = .object(named.json)
    var config = named.json
    config["add_bos_token"] = .bool(addsBOS && named.bos != nil)
    config["add_eos_token"] = .bool(addsEOS && named.eos != nil)
    config["clean_up_tokenization_spaces"] = false
    config["model_max_length"] = .number(maxPositions)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    self.config = .object(config)
    chatTemplates = try Self.templates(metadata)
  }

  private static func templates(_ metadata: GGUFMetadata) throws(ModelError) -> [(file: String, text: String)]
  {
    var templates: [(file: String, text: String)] = []
    if let text = try metadata.string("tokenizer.chat_template") {
      templates.append(("chat_template.jinja", text))
    }
    let prefix = "tokenizer.chat_template."
    for (key, value) in metadata.entries where key.hasPrefix(prefix) {
      guard case .string(let text) = value else { continue }
      let name = key.dropFirst(prefix.count)
      guard !name.isEmpty, name.utf8.allSatisfy({ isNameByte($0) }), name.utf8.count <= 100 else {
        throw metadata.fault(key, "is not a name for a chat template: letters, digits, - and _ are")
      }
      templates.append(("additional_chat_templates/\(name).jinja", text))
    }
    return templates
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}

/// The tokens with a meaning of their own, by their texts and ids.
struct NamedTokens {
  typealias Token = (text: String, id: Int)

  let bos: Token?
  let eos: Token?
  let unknown: Token?
  let padding: Token?

  init(_ special: GGUFSpecialTokens, _ vocabulary: GGUFVocabulary) {
    func token(_ id: Int?) -> Token? { id.map { (vocabulary.tokens[$0], vocabulary.id(ofTokenAt: $0)) } }
    bos = token(special.bos)
    eos = token(special.eos)
    unknown = token(special.unknown)
    padding = token(special.padding)
  }

  var all: [Token] { [bos, eos, unknown, padding].compactMap(\.self) }

  var json: JSONObject {
    var object = JSONObject()
    for (key, token) in [
      ("bos_token", bos), ("eos_token", eos), ("unk_token", unknown), ("pad_token", padding),
    ] {
      if let token { object[key] = .string(token.text) }
    }
    return object
  }
}
