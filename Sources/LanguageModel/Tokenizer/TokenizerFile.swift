import JSON

/// Reads `tokenizer.json`. A part that is not built is refused by its name: a text must become the ids that it
/// becomes elsewhere, or none at all.
struct TokenizerFile {
  let reader: ConfigurationReader

  struct Parts {
    let addedTokens: AddedTokens
    let normalizer: TextNormalizer
    let preTokenizer: PreTokenizer
    let model: BytePairModel
    let postProcessor: PostProcessor
    let decoder: TokenDecoder
    /// The bytes of every token that has an id.
    let pieces: TokenPieces
    /// The id of every token by its text in the file.
    let ids: ByteTable
    /// Tokens that other files than `tokenizer.json` name, and these files.
    let addedElsewhere: [(content: String, file: String)]
  }

  init(json: JSONValue, file: String) throws(ModelError) {
    reader = ConfigurationReader(json: json, file: file)
    guard json.object != nil else {
      throw ModelError(file: file, "must hold a JSON object, not \(json.kind)")
    }
    if let version = try reader.string("version"), version != "1.0" {
      throw reader.fault("version", "\"\(version)\" is not supported; it must be \"1.0\"")
    }
  }

  /// - Parameter settings: what the files beside this one say, for the ids of its added tokens.
  func parts(
    settings: (_ added: Set<Int>) throws(ModelError) -> TokenizerSettings = { _ in TokenizerSettings() }
  ) throws(ModelError) -> Parts {
    // A model of another kind has other parts, too, and is named before them.
    try VocabularyReader.checkType(reader)
    let normalizer = try normalizer()
    let preTokenizer = try PreTokenizerReader(file: reader).read()
    let decoder = try TokenDecoderReader(file: reader).read(byteLevel: preTokenizer.isByteLevel)
    let vocabulary = try VocabularyReader(file: reader).read(byteLevel: preTokenizer.isByteLevel)
    let own = try addedTokens(vocabulary)
    let settings = try settings(Set(own.map { Int($0.id) }))
    let added = try AddedTokenList(own, settings: settings, vocabulary: vocabulary).tokens
    var ids = vocabulary.ids
    for token in added {
      let content = Array(token.content.utf8)
      if ids[content] == nil { ids.insert(content, token.id) }
    }
    let pieces = TokenPieces(
      vocabulary: vocabulary, added: added, normalizer: normalizer, byteLevel: preTokenizer.isByteLevel)
    let postProcessor = try postProcessor()
    for id in postProcessor.before + postProcessor.after where Int(id) >= pieces.count {
      throw reader.fault("post_processor", "adds the id \(id), but the largest is \(pieces.count - 1)")
    }
    return Parts(
      addedTokens: AddedTokens(
        tokens: added, normalizer: normalizer, passesSpecial: settings.splitsSpecialTokens),
      normalizer: normalizer,
      preTokenizer: preTokenizer, model: vocabulary.model, postProcessor: postProcessor,
      decoder: decoder, pieces: pieces,
      ids: ids, addedElsewhere: settings.tokens.map { ($0.content, $0.file) })
  }

  // MARK: Normalizer

  private func normalizer() throws(ModelError) -> TextNormalizer {
    guard let part = try reader.object("normalizer") else { return TextNormalizer(steps: []) }
    return TextNormalizer(steps: try steps(part))
  }

  private func steps(_ part: ConfigurationReader) throws(ModelError) -> [TextNormalizer.Step] {
    let type = try part.string("type") ?? ""
    if let form = UnicodeNormalizer.Form(rawValue: type) { return [.form(form)] }
    switch type {
    case "Sequence":
      var steps: [TextNormalizer.Step] = []
      for inner in try part.parts("normalizers") { steps += try self.steps(inner) }
      return steps
    case "Prepend": return [.prepend(Array((try part.string("prepend") ?? "").utf8))]
    case "Replace": return [try replacement(part)]
    case "Strip":
      return [
        .strip(
          left: try part.bool("strip_left", default: true), right: try part.bool("strip_right", default: true)
        )
      ]
    case "Lowercase": return [.lowercase]
    default:
      throw part.fault(
        "type",
        "the normalizer \"\(type)\" is not supported; it must be NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, Lowercase "
          + "or Sequence")
    }
  }

  private func replacement(_ part: ConfigurationReader) throws(ModelError) -> TextNormalizer.Step {
    let content = Array((try part.string("content") ?? "").utf8)
    guard let kind = try part.object("pattern") else { throw part.fault("pattern", "is missing") }
    if let literal = try kind.string("String") {
      guard !literal.isEmpty else { throw kind.fault("String", "must not be empty") }
      return .replace(Array(literal.utf8), with: content)
    }
    guard let text = try kind.string("Regex") else {
      throw part.fault("pattern", "\(kind.json.text) is neither a Regex nor a String")
    }
    do throws(SplitPatternError) {
      return .replaceMatches(try SplitPattern(oniguruma: text), with: content)
    } catch {
      throw kind.fault("Regex", "the pattern \(text) cannot be used: \(error.reason)")
    }
  }

  // MARK: Added tokens

  private func addedTokens(_ vocabulary: Vocabulary) throws(ModelError) -> [AddedTokens.Token] {
    var tokens: [AddedTokens.Token] = []
    var seen = ByteTable()
    var largest: Int32 = -1
    for part in try reader.parts("added_tokens") {
      guard let content = try part.string("content"), !content.isEmpty else {
        throw part.fault("content", "must be a text that is not empty")
      }
      guard let id = try part.count("id", minimum: 0).map(Int32.init) else {
        throw part.fault("id", "is missing")
      }
      let bytes = Array(content.utf8)
      guard seen[bytes] == nil else { throw part.fault("content", "\"\(content)\" stands twice") }
      seen.insert(bytes, id)
      // The id that the reference gives to it, whatever the file says.
      let expected = AddedTokenList.id(of: bytes, vocabulary, largest: largest)
      guard id == expected else {
        throw part.fault(
          "id", "\"\(content)\" has the id \(id), but by the order of this file it is \(expected)")
      }
      largest = max(largest, id)
      tokens.append(
        .init(
          id: id, content: content, lstrip: try part.bool("lstrip", default: false),
          rstrip: try part.bool("rstrip", default: false),
          singleWord: try part.bool("single_word", default: false),
          normalized: try part.bool("normalized", default: true),
          special: try part.bool("special", default: false)))
    }
    return tokens
  }

  // MARK: Post-processor

  private func postProcessor() throws(ModelError) -> PostProcessor {
    guard let part = try reader.object("post_processor") else { return PostProcessor() }
    return try postProcessor(part)
  }

  private func postProcessor(_ part: ConfigurationReader) throws(ModelError) -> PostProcessor {
    switch try part.string("type") ?? "" {
    case "ByteLevel": return PostProcessor()
    case "TemplateProcessing": return try template(part)
    case "Sequence":
      var whole = PostProcessor()
      for inner in try part.parts("processors") { whole = try postProcessor(inner).around(whole) }
      return whole
    case let other:
      throw part.fault(
        "type",
        "the post-processor \"\(other)\" is not supported; it must be ByteLevel, TemplateProcessing or Sequence"
      )
    }
  }

  /// `single`: special tokens before and after the text, which is called A.
  private func template(_ part: ConfigurationReader) throws(ModelError) -> PostProcessor {
    var result = PostProcessor()
    var passedText = false
    for piece in try part.parts("single") {
      if let sequence = try piece.object("Sequence") {
        guard try sequence.string("id") == "A", !passedText else {
          throw piece.fault("Sequence", "a template for one text must have the sequence A once, and no other")
        }
        passedText = true
      } else if let special = try piece.object("SpecialToken") {
        let ids = try specialIDs(try special.string("id") ?? "", part)
        if passedText { result.after += ids } else { result.before += ids }
      } else {
        throw part.fault("single", "\(piece.json.text) is neither a Sequence nor a SpecialToken")
      }
    }
    guard passedText else { throw part.fault("single", "leaves out the text, the sequence A") }
    return result
  }

  private func specialIDs(_ name: String, _ part: ConfigurationReader) throws(ModelError) -> [Int32] {
    guard let token = try part.object("special_tokens")?.object(name) else {
      throw part.fault("special_tokens", "\"\(name)\" is missing, which the template names")
    }
    return try token.tokenIDs("ids").map { Int32($0) }
  }
}

/// The added tokens of `tokenizer.json` and those of the files beside it.
private struct AddedTokenList {
  private(set) var tokens: [AddedTokens.Token]

  init(_ own: [AddedTokens.Token], settings: TokenizerSettings, vocabulary: Vocabulary) throws(ModelError) {
    tokens = settings.replacesAddedTokens ? [] : own
    for token in settings.tokens where !token.content.isEmpty { try add(token, vocabulary) }
  }

  private mutating func add(_ new: TokenizerSettings.Token, _ vocabulary: Vocabulary) throws(ModelError) {
    let known = tokens.firstIndex { $0.content.utf8.elementsEqual(new.content.utf8) }
    if known != nil, !new.replacesFlags { return }
    let largest = tokens.map(\.id).max() ?? -1
    let id = known.map { tokens[$0].id } ?? Self.id(of: Array(new.content.utf8), vocabulary, largest: largest)
    guard id < VocabularyReader.largestID else {
      throw ModelError(file: new.file, name: "token \"\(new.content)\"", "there is no id left for it")
    }
    let token = AddedTokens.Token(
      id: id, content: new.content, lstrip: new.lstrip, rstrip: new.rstrip, singleWord: new.singleWord,
      normalized: new.normalized, special: new.special)
    if let known { tokens[known] = token } else { tokens.append(token) }
  }

  /// That of the vocabulary, or the next free one.
  static func id(of token: [UInt8], _ vocabulary: Vocabulary, largest: Int32) -> Int32 {
    vocabulary.ids[token] ?? max(Int32(vocabulary.ids.count), largest + 1)
  }
}

extension ConfigurationReader {
  /// The objects of a list; an absent list has none.
  func parts(_ key: String) throws(ModelError) -> [ConfigurationReader] {
    guard let value = value(key) else { return [] }
    guard let list = value.array else { throw fault(key, "must be a list, not \(value.kind)") }
    var parts: [ConfigurationReader] = []
    for (index, item) in list.enumerated() {
      guard item.object != nil else { throw fault(key, "must hold objects, not \(item.kind)") }
      parts.append(ConfigurationReader(json: item, file: file, prefix: "\(prefix)\(key)[\(index)]."))
    }
    return parts
  }
}
