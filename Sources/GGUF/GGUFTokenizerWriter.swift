import Files
import JSON
import LanguageModel

/// The metadata of a GGUF file that say how text becomes ids, out of `tokenizer.json` and the files beside it.
struct GGUFTokenizerWriter {
  private(set) var entries: [(key: String, value: GGUFEntry)] = []
  private(set) var remarks: [String] = []
  private let tokenizer: JSONValue
  private let file: String

  /// No entries if the folder has no tokenizer.
  init(model: ModelFolder) throws {
    file = model.path + "/tokenizer.json"
    guard FileSystem.kind(file) == .file else {
      tokenizer = .null
      remarks = ["\(model.path) has no tokenizer.json, so the GGUF file has no tokenizer"]
      return
    }
    // What cannot be used here is refused with its reason.
    let reader = try Tokenizer(modelFolder: model.path)
    tokenizer = try JSONValue(parsing: AtomicFile.read(file))
    let isByteLevel = reader.kind.hasPrefix("byte")
    entries = [("tokenizer.ggml.model", .string(isByteLevel ? "gpt2" : "llama"))]
    entries.append(("tokenizer.ggml.pre", .string(isByteLevel ? preTokenizerName() : "default")))
    try addTokens(rows: model.configuration.vocabularySize, isByteLevel: isByteLevel)
    try addSpecialTokens(model, reader)
    try addTemplates(model.path)
  }

  /// The name whose rules cut text as this tokenizer does.
  private mutating func preTokenizerName() -> String {
    let own = Self.withoutOffsets(tokenizer["pre_tokenizer"] ?? .null)
    for name in ["smollm", "llama-bpe", "qwen2", "qwen35", "tekken", "gpt-4o", "gpt-2"] {
      if Self.withoutOffsets(PreTokenizerRules(name: name, rules: .original).preTokenizer) == own {
        return name
      }
    }
    remarks.append(
      "llama.cpp has no name for this tokenizer's way to cut text that is known here: tokenizer.ggml.pre is \"default\", and "
        + "its ids may differ there")
    return "default"
  }

  /// `trim_offsets` bears on no id.
  private static func withoutOffsets(_ value: JSONValue) -> JSONValue {
    guard var object = value.object else { return value }
    object["trim_offsets"] = nil
    if let inner = object["pretokenizers"]?.array {
      object["pretokenizers"] = .array(inner.map(withoutOffsets))
      // A sequence of one is that one.
      if inner.count == 1 { return withoutOffsets(inner[0]) }
    }
    return .object(object)
  }

  private mutating func addTokens(rows: Int, isByteLevel: Bool) throws {
    var tokens = (0..<rows).map { "[PAD\($0)]" }
    var kinds = [Int](repeating: GGUFVocabulary.Kind.unused.rawValue, count: rows)
    func set(_ text: String, _ id: Int?, _ kind: GGUFVocabulary.Kind) throws {
      guard let id, tokens.indices.contains(id) else {
        throw ModelError(file: file, name: "token \"\(text)\"", "has no row in the embedding of \(rows) rows")
      }
      tokens[id] = text
      kinds[id] = kind.rawValue
    }
    for member in tokenizer["model"]?["vocab"]?.object?.members ?? [] {
      let isByte = !isByteLevel && member.key.hasPrefix("<0x") && member.key.utf8.count == 6
      try set(member.key, member.value.int, isByte ? .byte : .normal)
    }
    for token in tokenizer["added_tokens"]?.array ?? [] {
      let kind: GGUFVocabulary.Kind = token["special"]?.bool == true ? .control : .userDefined
      try set(token["content"]?.string ?? "", token["id"]?.int, kind)
    }
    let merges = (tokenizer["model"]?["merges"]?.array ?? []).map { merge in
      merge.string ?? (merge.array ?? []).compactMap(\.string).joined(separator: " ")
    }
    entries.append(("tokenizer.ggml.tokens", .strings(tokens)))
    entries.append(("tokenizer.ggml.token_type", .int32s(kinds)))
    if isByteLevel {
      entries.append(("tokenizer.ggml.merges", .strings(merges)))
    } else {
      entries.append(("tokenizer.ggml.scores", .float32s(Self.scores(tokens, merges))))
    }
  }

  /// SentencePiece joins what has the highest score first: the number of the first merge that makes the token, below 0.
  private static func scores(_ tokens: [String], _ merges: [String]) -> [Float] {
    var rank: [String.UTF8Bytes: Int] = [:]
    for (number, merge) in merges.enumerated() {
      let token = String.UTF8Bytes(String(merge.filter { $0 != " " }))
      if rank[token] == nil { rank[token] = number }
    }
    return tokens.map { rank[.init($0)].map { Float(-$0) } ?? 0 }
  }

  private mutating func addSpecialTokens(_ model: ModelFolder, _ reader: Tokenizer) throws {
    if let bos = model.configuration.bosTokenID, bos < model.configuration.vocabularySize {
      entries.append(("tokenizer.ggml.bos_token_id", .uint32(bos)))
    }
    if let eos = reader.eosTokenID { entries.append(("tokenizer.ggml.eos_token_id", .uint32(Int(eos)))) }
    if let end = reader.endTokenIDs.sorted().first(where: { $0 != reader.eosTokenID }) {
      entries.append(("tokenizer.ggml.eot_token_id", .uint32(Int(end))))
    }
    let file = model.path + "/tokenizer_config.json"
    if FileSystem.kind(file) == .file {
      let config = try JSONValue(parsing: AtomicFile.read(file))
      for (key, name) in [("pad_token", "padding_token_id"), ("unk_token", "unknown_token_id")] {
        let text = config[key]?.string ?? config[key]?["content"]?.string
        if let text, let id = reader.tokenID(text) {
          entries.append(("tokenizer.ggml.\(name)", .uint32(Int(id))))
        }
      }
    }
    let added = try reader.encode("a", addSpecialTokens: true)
    let plain = try reader.encode("a", addSpecialTokens: false)
    let bos = model.configuration.bosTokenID.map { Int32($0) }
    let addsBOS = added.count > plain.count && bos != nil && added.first == bos
    let addsEOS = added.count > plain.count && reader.eosTokenID != nil && added.last == reader.eosTokenID
    entries.append(("tokenizer.ggml.add_bos_token", .bool(addsBOS)))
    entries.append(("tokenizer.ggml.add_eos_token", .bool(addsEOS)))
  }

  private mutating func addTemplates(_ folder: String) throws {
    let file = folder + "/chat_template.jinja"
    if FileSystem.kind(file) == .file {
      let text = String(decoding: try AtomicFile.read(file), as: UTF8.self)
      entries.append(("tokenizer.chat_template", .string(text)))
      return
    }
    let config = folder + "/tokenizer_config.json"
    guard FileSystem.kind(config) == .file else { return }
    if let text = try JSONValue(parsing: AtomicFile.read(config))["chat_template"]?.string {
      entries.append(("tokenizer.chat_template", .string(text)))
    }
  }
}
