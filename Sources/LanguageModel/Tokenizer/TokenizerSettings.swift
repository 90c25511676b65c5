import Files
import JSON

/// What the files beside `tokenizer.json` say of its tokens, as transformers 5.24 reads them: tokens to be added (or to
/// be recognised in another way), and which token ends a text.
///
/// `add_bos_token` and `add_eos_token` are not read: where there is a `tokenizer.json`, its post-processor alone decides.
struct TokenizerSettings {
  /// A token that the files want recognised in a text.
  struct Token {
    var content: String
    var lstrip = false
    var rstrip = false
    var singleWord = false
    var normalized = false
    var special = true
    /// Its flags come before those that `tokenizer.json` gives it.
    var replacesFlags = false
    /// Where it stands, for errors.
    var file: String
  }

  /// In the order in which they get ids.
  private(set) var tokens: [Token] = []
  /// The added tokens of `tokenizer.json` are left out, those of `added_tokens_decoder` stand for them.
  private(set) var replacesAddedTokens = false
  /// Special tokens that are written out in a text are cut up like any other text.
  private(set) var splitsSpecialTokens = false
  /// `eos_token`
  private(set) var endOfText: Token?

  init() {}

  /// - Parameter added: the ids of `added_tokens` of `tokenizer.json`.
  init(folder: String, added: Set<Int>) throws(ModelError) {
    var reader = try SettingsReader(folder: folder, added: added)
    try reader.read()
    tokens = reader.tokens
    endOfText = reader.named["eos_token"]
    splitsSpecialTokens = reader.splitsSpecialTokens
    replacesAddedTokens = reader.isQwen2 && reader.hasDecoder
  }

  /// With further tokens after those of the files.
  func adding(_ texts: [String]) -> TokenizerSettings {
    var settings = self
    settings.tokens += texts.map { Token(content: $0, normalized: true, special: false, file: "add_tokens") }
    return settings
  }

  static let configName = "tokenizer_config.json"
  static let mapName = "special_tokens_map.json"
  static let addedName = "added_tokens.json"
}

/// The files of a model folder, its `config.json` aside, that decide which ids a text becomes and where it ends.
public enum TokenizerFiles {
  public static let names = [
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "generation_config.json",
  ]
}

/// The steps of `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__`.
private struct SettingsReader {
  typealias Token = TokenizerSettings.Token

  private let folder: String
  private let config: ConfigurationReader?
  private let addedIDs: Set<Int>
  private(set) var tokens: [Token] = []
  /// By key, as in `eos_token`.
  private(set) var named: [String: Token] = [:]
  private var namedOrder: [String] = []
  private var extra: [Token] = []
  let hasDecoder: Bool
  /// The class of transformers that gives every special token the flags of a new one.
  let isQwen2: Bool
  let splitsSpecialTokens: Bool

  private static let standardKeys = [
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
  ]

  init(folder: String, added: Set<Int>) throws(ModelError) {
    self.folder = folder
    addedIDs = added
    config = try Self.file(TokenizerSettings.configName, in: folder)
    hasDecoder = config?.value("added_tokens_decoder") != nil
    splitsSpecialTokens = try config?.bool("split_special_tokens", default: false) ?? false
    let modelType = try Self.file("config.json", in: folder)?.value("model_type")?.string
    let name = config?.value("tokenizer_class")?.string
    isQwen2 =
      modelType == "qwen2" || (modelType == "qwen3" && name == nil)
      || (modelType != "mistral" && (name == "Qwen2Tokenizer" || name == "Qwen2TokenizerFast"))
  }

  private static func file(_ name: String, in folder: String) throws(ModelError) -> ConfigurationReader? {
    let path = folder + "/" + name
    guard FileSystem.kind(path) != nil else { return nil }
    let reader = ConfigurationReader(json: try readJSON(path: path), file: path)
    guard reader.json.object != nil else {
      throw ModelError(file: path, "must hold a JSON object, not \(reader.json.kind)")
    }
    return reader
  }

  mutating func read() throws(ModelError) {
    var own = try config.map { config throws(ModelError) in try names(in: config) } ?? Names()
    if own.extra.isEmpty, own.extraByName.isEmpty {
      own.extra = own.additional
      own.extraIsGiven = own.extraIsGiven || own.additionalIsGiven
    }
    var decoder: [(id: Int, token: Token)] = []
    if hasDecoder {
      decoder = try self.decoder()
    } else {
      if let map = try Self.file(TokenizerSettings.mapName, in: folder) { own.merge(try names(in: map)) }
      decoder = try legacy(special: own)
    }
    if !own.extraIsGiven { own.extra = own.additional }
    collect(own)
    let allNamed = Set(named.values.map { String.UTF8Bytes($0.content) })
    tokens = decoder.sorted { $0.id < $1.id }.map(\.token)
    for i in tokens.indices where allNamed.contains(.init(tokens[i].content)) { tokens[i].special = true }
    tokens += namedOrder.compactMap { named[$0] } + extra
    if isQwen2 { resetFlags() }
  }

  /// What one file says of named and of further special tokens.
  private struct Names {
    var standard: [(key: String, token: Token)] = []
    /// Keys of their own that end in `_token`.
    var own: [(key: String, token: Token)] = []
    var extra: [Token] = []
    var extraByName: [(key: String, token: Token)] = []
    var extraIsGiven = false
    var additional: [Token] = []
    var additionalIsGiven = false

    /// Takes over what `special_tokens_map.json` says.
    mutating func merge(_ map: Names) {
      for (key, token) in map.standard {
        standard.removeAll { $0.key == key }
        standard.append((key, token))
      }
      // Those of the map go first.
      own = map.own + own.filter { mine in !map.own.contains { $0.key == mine.key } }
      extra += map.extra.filter { new in !extra.contains { $0.content.utf8.elementsEqual(new.content.utf8) } }
      extraByName += map.extraByName
      extraIsGiven = extraIsGiven || !map.extra.isEmpty
      if map.additionalIsGiven { additional = map.additional }
    }
  }

  private func names(in file: ConfigurationReader) throws(ModelError) -> Names {
    var names = Names()
    for member in file.json.object?.members ?? [] where !member.value.isNull {
      let key = member.key
      if Self.standardKeys.contains(key) {
        names.standard.append((key, try token(member.value, key, file)))
      } else if key == "extra_special_tokens" {
        names.extraIsGiven = true
        if member.value.object != nil {
          for inner in member.value.object?.members ?? [] {
            names.extraByName.append((inner.key, try token(inner.value, key, file)))
          }
        } else {
          names.extra = try list(key, file)
        }
      } else if key == "additional_special_tokens" {
        names.additionalIsGiven = true
        names.additional = try list(key, file)
      } else if key.hasSuffix("_token"), member.value.string != nil {
        names.own.append((key, try token(member.value, key, file)))
      }
    }
    return names
  }

  private func list(_ key: String, _ file: ConfigurationReader) throws(ModelError) -> [Token] {
    guard let items = file.value(key)?.array else { throw file.fault(key, "must be a list of tokens") }
    var tokens: [Token] = []
    for item in items { tokens.append(try token(item, key, file)) }
    return tokens
  }

  /// A text, or an object with the text as its content and flags.
  private func token(
    _ value: JSONValue, _ key: String, _ file: ConfigurationReader
  ) throws(ModelError) -> Token {
    if let text = value.string { return Token(content: text, file: file.file) }
    guard value.object != nil, value["content"]?.string != nil else {
      throw file.fault(key, "must be a text or an object with \"content\", not \(value.text)")
    }
    let part = ConfigurationReader(json: value, file: file.file, prefix: "\(file.prefix)\(key).")
    return try token(part, specialByDefault: true)
  }

  private func token(
    _ part: ConfigurationReader, specialByDefault: Bool
  ) throws(ModelError) -> Token {
    guard let content = try part.string("content") else { throw part.fault("content", "is missing") }
    let special = try part.bool("special", default: specialByDefault)
    return Token(
      content: content, lstrip: try part.bool("lstrip", default: false),
      rstrip: try part.bool("rstrip", default: false),
      singleWord: try part.bool("single_word", default: false),
      normalized: try part.bool("normalized", default: !special), special: special, file: part.file)
  }

  /// `added_tokens_decoder`
  private func decoder() throws(ModelError) -> [(id: Int, token: Token)] {
    guard let part = try config?.object("added_tokens_decoder") else { return [] }
    var tokens: [(id: Int, token: Token)] = []
    for member in part.json.object?.members ?? [] {
      guard let id = Int(member.key), let object = try part.object(member.key) else {
        throw part.fault(member.key, "must be an object under the token's id")
      }
      var token = try token(object, specialByDefault: false)
      token.replacesFlags = true
      tokens.append((id, token))
    }
    return tokens
  }

  /// `added_tokens.json`: the id of each token; what `tokenizer.json` has itself is not taken from it.
  private func legacy(special names: Names) throws(ModelError) -> [(id: Int, token: Token)] {
    guard let file = try Self.file(TokenizerSettings.addedName, in: folder) else { return [] }
    let special = Set((names.standard.map(\.token) + names.extra).map { String.UTF8Bytes($0.content) })
    var tokens: [(id: Int, token: Token)] = []
    for member in file.json.object?.members ?? [] {
      let id = try file.tokenID(member.value, member.key)
      if addedIDs.contains(id) { continue }
      let isSpecial = special.contains(.init(member.key))
      tokens.append(
        (
          id,
          Token(
            content: member.key, normalized: !isSpecial, special: isSpecial, replacesFlags: true,
            file: file.file)
        ))
    }
    return tokens
  }

  private mutating func collect(_ names: Names) {
    let standard = Self.standardKeys.compactMap { key in names.standard.last { $0.key == key } }
    for (key, token) in standard + names.own + names.extraByName {
      if named[key] == nil { namedOrder.append(key) }
      named[key] = token
    }
    extra = names.extra
  }

  /// `Qwen2Tokenizer.__init__` adds all special tokens once more, as new ones.
  private mutating func resetFlags() {
    for token in namedOrder.compactMap({ named[$0] }) + extra {
      tokens.append(Token(content: token.content, replacesFlags: true, file: token.file))
    }
  }
}
