import JSON
import LanguageModel

/// What `tokenizer.json` consists of.
struct GGUFTokenizerParts {
  private let normalizer: JSONValue
  private let preTokenizer: JSONValue
  private let decoder: JSONValue
  private let model: JSONValue
  /// Whether a BOS is put in front where the file does not say.
  let addsBOS: Bool
  private(set) var remarks: [String] = []

  static func byteLevel(
    _ vocabulary: GGUFVocabulary, named: NamedTokens, metadata: GGUFMetadata, rules: TokenizerRules
  ) throws(ModelError) -> GGUFTokenizerParts {
    let key = "tokenizer.ggml.merges"
    guard let merges = try metadata.strings(key) else { throw metadata.fault(key, "is missing") }
    for (number, merge) in merges.enumerated() {
      let halves = merge.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
      guard halves.count == 2, !halves[0].isEmpty, !halves[1].isEmpty else {
        throw metadata.fault(key, "entry \(number), \"\(merge)\", is not two tokens with a space between")
      }
    }
    let name = try metadata.string("tokenizer.ggml.pre")
    let rule = PreTokenizerRules(name: name, rules: rules)
    var parts = GGUFTokenizerParts(
      normalizer: rule.normalizer, preTokenizer: rule.preTokenizer,
      decoder: ["type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true],
      model: model(
        vocabulary, merges: .strings(merges), ignoresMerges: rule.ignoresMerges, isByteLevel: true),
      addsBOS: rule.addsBOS)
    if !rule.isKnown {
      parts.remarks.append(
        "tokenizer.ggml.pre \"\(name ?? "")\" is not known here: text is cut as by GPT-2, as transformers does; take the "
          + "model's own tokenizer with --tokenizer DIR if you have it")
    } else if rules == .transformers, let difference = rule.difference {
      parts.remarks.append(
        "the tokenizer is rebuilt as transformers does; \"\(name ?? "default")\" also means: \(difference), which "
          + "--tokenizer-rules original adds")
    }
    return parts
  }

  static func sentencePiece(
    _ vocabulary: GGUFVocabulary, named: NamedTokens, metadata: GGUFMetadata, rules: TokenizerRules
  ) throws(ModelError) -> GGUFTokenizerParts {
    let addsSpace = try metadata.bool("tokenizer.ggml.add_space_prefix") ?? true
    // transformers does not look at the key.
    let prepends = rules == .transformers || addsSpace
    let replace: JSONValue = ["type": "Replace", "pattern": ["String": "▁"], "content": " "]
    let strip: JSONValue = ["type": "Strip", "content": " ", "start": 1, "stop": 0]
    let decoders: [JSONValue] =
      [replace, ["type": "ByteFallback"], ["type": "Fuse"]] + (prepends ? [strip] : [])
    let merges = try SentencePieceMerges(vocabulary, metadata: metadata).merges
    var parts = GGUFTokenizerParts(
      normalizer: .null,
      preTokenizer: [
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": prepends ? "first" : "never",
        "split": false,
      ],
      decoder: ["type": "Sequence", "decoders": .array(decoders)],
      model: model(vocabulary, merges: merges, ignoresMerges: false, isByteLevel: false), addsBOS: true)
    if !addsSpace, rules == .transformers {
      parts.remarks.append(
        "tokenizer.ggml.add_space_prefix is false; transformers puts a space in front all the same, and so does this "
          + "tokenizer; --tokenizer-rules original does not")
    }
    return parts
  }

  private static func model(
    _ vocabulary: GGUFVocabulary, merges: JSONValue, ignoresMerges: Bool, isByteLevel: Bool
  ) -> JSONValue {
    [
      "type": "BPE", "dropout": .null, "unk_token": .null,
      "continuing_subword_prefix": isByteLevel ? "" : .null, "end_of_word_suffix": isByteLevel ? "" : .null,
      "fuse_unk": .bool(!isByteLevel), "byte_fallback": .bool(!isByteLevel),
      "ignore_merges": .bool(ignoresMerges),
      "vocab": vocabulary.json, "merges": merges,
    ]
  }

  /// `tokenizer.json`
  ///
  /// - Parameters:
  ///   - before: the token that the post-processor puts in front of a text; nil for none.
  ///   - after: likewise behind it.
  func json(addedTokens: [JSONValue], before: NamedTokens.Token?, after: NamedTokens.Token?) -> JSONValue {
    [
      "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": .array(addedTokens),
      "normalizer": normalizer, "pre_tokenizer": preTokenizer,
      "post_processor": Self.template(before: before, after: after), "decoder": decoder, "model": model,
    ]
  }

  private static func template(before: NamedTokens.Token?, after: NamedTokens.Token?) -> JSONValue {
    func special(_ token: NamedTokens.Token?, _ type: Int) -> [JSONValue] {
      token.map { [["SpecialToken": ["id": .string($0.text), "type_id": .number(type)]]] } ?? []
    }
    func text(_ name: String, _ type: Int) -> [JSONValue] {
      special(before, type) + [["Sequence": ["id": .string(name), "type_id": .number(type)]]]
        + special(after, type)
    }
    var tokens = JSONObject()
    for token in [before, after].compactMap(\.self) {
      tokens[token.text] = [
        "id": .string(token.text), "ids": .numbers([token.id]), "tokens": .strings([token.text]),
      ]
    }
    return [
      "type": "TemplateProcessing", "single": .array(text("A", 0)),
      "pair": .array(text("A", 0) + text("B", 1)), "special_tokens": .object(tokens),
    ]
  }
}
