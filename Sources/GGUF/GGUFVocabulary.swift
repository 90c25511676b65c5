import JSON
import LanguageModel

/// The tokens of a GGUF file with their ids, and what kind each of them is.
struct GGUFVocabulary {
  /// `tokenizer.ggml.token_type`: how llama.cpp deals with a token.
  enum Kind: Int { case undefined, normal, unknown, control, userDefined, unused, byte }

  /// As the file has them, in the order of their ids.
  let tokens: [String]
  /// As `tokenizer.json` has them.
  let spelled: [String]
  let kinds: [Kind]
  /// The id of a spelled token. One that stands twice has the last of its ids, as in a Python dictionary.
  private(set) var ids: [String.UTF8Bytes: Int] = [:]

  /// The longest token in use is some hundred bytes long; the work below grows with the square of it.
  private static let longestToken = 1 << 12

  init(metadata: GGUFMetadata, isByteLevel: Bool) throws(ModelError) {
    let key = "tokenizer.ggml.tokens"
    guard let tokens = try metadata.strings(key), !tokens.isEmpty else {
      throw metadata.fault(key, "is missing or empty")
    }
    if let long = tokens.first(where: { $0.utf8.count > Self.longestToken }) {
      throw metadata.fault(key, "a token is \(long.utf8.count) bytes long, more than \(Self.longestToken)")
    }
    let types = try metadata.integers("tokenizer.ggml.token_type")
    if let types, types.count != tokens.count {
      throw metadata.fault(
        "tokenizer.ggml.token_type", "has \(types.count) entries, but there are \(tokens.count) tokens")
    }
    self.tokens = tokens
    kinds = types?.map { Kind(rawValue: $0) ?? .undefined } ?? Array(repeating: .normal, count: tokens.count)
    let named = try GGUFSpecialTokens(metadata: metadata)
    let literal = Set([named.bos, named.eos, named.unknown, named.padding].compactMap(\.self))
    spelled = tokens.enumerated().map { id, token in
      !isByteLevel || literal.contains(id) || ByteAlphabet.spells(token)
        ? token : ByteAlphabet.spelling(of: token)
    }
    for (id, token) in spelled.enumerated() { ids[.init(token)] = id }
  }

  /// The id by which the token at a place is known: of tokens that are spelled alike, the last.
  func id(ofTokenAt place: Int) -> Int { ids[.init(spelled[place])] ?? place }

  /// `vocab` of the model, in the order of first appearance.
  var json: JSONValue {
    var seen = Set<String.UTF8Bytes>(minimumCapacity: spelled.count)
    var members: [JSONObject.Member] = []
    members.reserveCapacity(spelled.count)
    for token in spelled where seen.insert(.init(token)).inserted {
      members.append(.init(key: token, value: .number(ids[.init(token)] ?? 0)))
    }
    return .object(JSONObject(members))
  }

  /// `added_tokens`: what is found in a text before anything else, in the order of ids. Control tokens and those with a
  /// name are special. With the rules of transformers a byte-level token that is not spelled in letters for bytes is
  /// none, unless it has a name: it takes such a token for one that a converter has marked by mistake.
  func added(
    named: NamedTokens, isByteLevel: Bool, rules: TokenizerRules
  ) throws(ModelError) -> [JSONValue] {
    var special: [Int: Bool] = [:]
    for (place, kind) in kinds.enumerated() where kind == .control || kind == .userDefined {
      let passes = isByteLevel && !ByteAlphabet.spells(tokens[place]) && rules == .transformers
      if !passes, !tokens[place].isEmpty { special[id(ofTokenAt: place)] = kind == .control }
    }
    // What the classes of transformers name unless they are told otherwise.
    let standard = isByteLevel ? ["<|endoftext|>"] : ["<unk>", "<s>", "</s>"]
    for id in named.all.map(\.id) + standard.compactMap({ ids[.init($0)] }) where !spelled[id].isEmpty {
      special[id] = true
    }
    return special.sorted { $0.key < $1.key }.map { id, isSpecial in
      [
        "id": .number(id), "content": .string(spelled[id]), "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": .bool(isSpecial),
      ]
    }
  }
}
