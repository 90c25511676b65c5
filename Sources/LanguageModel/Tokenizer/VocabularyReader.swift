import JSON

/// The tokens of a byte-pair model and their merges.
struct Vocabulary {
  let model: BytePairModel
  /// The id of every token by its text in the file.
  let ids: ByteTable
  /// Every token as the file has it, with its id.
  let tokens: [(text: String, id: Int32)]
}

/// Reads the `model` of `tokenizer.json`.
struct VocabularyReader {
  let file: ConfigurationReader

  /// Sixteen times the largest vocabulary in use; tables over all ids stay of a reasonable size.
  static let largestID = 1 << 22

  static func checkType(_ file: ConfigurationReader) throws(ModelError) {
    guard let part = try file.object("model") else { throw file.fault("model", "is missing") }
    // Older files leave the type out.
    guard let type = try part.string("type"), type != "BPE" else { return }
    let instead =
      type == "Unigram" || type == "WordPiece"
      ? "models with \(type) tokenizers are not supported; those with BPE are"
      : "it must be \"BPE\""
    throw part.fault("type", "the model \"\(type)\" is not supported; \(instead)")
  }

  func read(byteLevel: Bool) throws(ModelError) -> Vocabulary {
    guard let part = try file.object("model") else { throw file.fault("model", "is missing") }
    let tokens = try tokens(part)
    var ids = ByteTable(capacity: tokens.count)
    var bytes = ByteTable(capacity: tokens.count)
    for (text, id) in tokens {
      ids.insert(Array(text.utf8), id)
      if let key = ByteLevelAlphabet.bytes(of: text) { bytes.insert(key, id) }
    }
    try refuseUnsupported(part)
    if byteLevel { try refuseUnknown(part, bytes) }
    let merges = try MergeReader(part: part, ids: ids).read()
    let ignoresMerges = try part.bool("ignore_merges", default: false)
    let model =
      byteLevel
      ? BytePairModel(tokens: bytes, merges: merges, ignoresMerges: ignoresMerges)
      : BytePairModel(
        characters: ids, unknown: try unknown(part, ids), merges: merges, ignoresMerges: ignoresMerges)
    return Vocabulary(model: model, ids: ids, tokens: tokens)
  }

  private func tokens(_ part: ConfigurationReader) throws(ModelError) -> [(text: String, id: Int32)] {
    guard let members = try part.object("vocab")?.json.object?.members, !members.isEmpty else {
      throw part.fault("vocab", "must be an object that gives the id of every token")
    }
    var tokens: [(text: String, id: Int32)] = []
    tokens.reserveCapacity(members.count)
    var used = Set<Int32>(minimumCapacity: members.count)
    for member in members {
      guard let number = member.value.int, (0...Self.largestID).contains(number) else {
        throw fault(member, "must be an id from 0 to \(Self.largestID), not \(member.value.text)")
      }
      let id = Int32(number)
      guard used.insert(id).inserted else { throw fault(member, "the id \(id) stands twice") }
      tokens.append((member.key, id))
    }
    return tokens
  }

  private func fault(_ member: JSONObject.Member, _ reason: String) -> ModelError {
    ModelError(file: file.file, name: "line \(member.line), key \"model.vocab.\(member.key)\"", reason)
  }

  private func unknown(
    _ part: ConfigurationReader, _ ids: ByteTable
  ) throws(ModelError) -> BytePairModel.Unknown {
    var unknown = BytePairModel.Unknown(fuses: try part.bool("fuse_unk", default: false))
    if let name = try part.string("unk_token") {
      guard let id = ids[Array(name.utf8)] else {
        throw part.fault("unk_token", "\"\(name)\" is not a token of the vocabulary")
      }
      unknown.token = id
    }
    guard try part.bool("byte_fallback", default: false) else { return unknown }
    unknown.bytes = (UInt8.min...UInt8.max).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return ids[Array("<0x\(digits.count == 1 ? "0" : "")\(digits)>".utf8)] ?? -1
    }
    return unknown
  }

  private func refuseUnsupported(_ part: ConfigurationReader) throws(ModelError) {
    if let dropout = part.value("dropout"), dropout.double != 0 {
      throw part.fault("dropout", "is \(dropout.text); it must be null or 0")
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let text = try part.string(key), !text.isEmpty {
        throw part.fault(key, "\"\(text)\" is not supported; it must be null or empty")
      }
    }
  }

  private func refuseUnknown(_ part: ConfigurationReader, _ bytes: ByteTable) throws(ModelError) {
    // With a token for each byte nothing is ever unknown.
    guard let missing = (UInt8.min...UInt8.max).first(where: { bytes[[$0]] == nil }) else { return }
    if let unknown = try part.string("unk_token") {
      throw part.fault("unk_token", "\"\(unknown)\" is not supported where the byte \(missing) has no token")
    }
    if try part.bool("byte_fallback", default: false) {
      throw part.fault("byte_fallback", "is not supported where the byte \(missing) has no token")
    }
  }
}

/// Reads the list of merges; a merge is `"a b"` or `["a", "b"]`.
private struct MergeReader {
  let part: ConfigurationReader
  let ids: ByteTable

  func read() throws(ModelError) -> [(left: Int32, right: Int32, token: Int32)] {
    guard let list = part.value("merges")?.array else { throw part.fault("merges", "must be a list") }
    var merges: [(left: Int32, right: Int32, token: Int32)] = []
    merges.reserveCapacity(list.count)
    for (index, item) in list.enumerated() {
      guard let (left, right) = Self.halves(item) else {
        throw part.fault("merges", "entry \(index), \(item.text), is neither \"a b\" nor [\"a\", \"b\"]")
      }
      merges.append((try id(left, index), try id(right, index), try id(left + right, index)))
    }
    return merges
  }

  private func id(_ token: [UInt8], _ index: Int) throws(ModelError) -> Int32 {
    guard let id = ids[token] else {
      let text = String(decoding: token, as: UTF8.self)
      throw part.fault("merges", "entry \(index) needs the token \"\(text)\", which is not in the vocabulary")
    }
    return id
  }

  private static func halves(_ item: JSONValue) -> ([UInt8], [UInt8])? {
    if let text = item.string {
      let bytes = Array(text.utf8)
      guard let space = bytes.firstIndex(of: 0x20), !bytes[(space + 1)...].contains(0x20) else { return nil }
      return (Array(bytes[..<space]), Array(bytes[(space + 1)...]))
    }
    guard let pair = item.array, pair.count == 2, let left = pair[0].string, let right = pair[1].string else {
      return nil
    }
    return (Array(left.utf8), Array(right.utf8))
  }
}
