import JSON
import LanguageModel

/// The ids of tokens with a meaning of their own, by the metadata.
struct GGUFSpecialTokens {
  let bos: Int?
  let eos: Int?
  let unknown: Int?
  let padding: Int?
  /// All at which a generated text ends: `eos`, then the end of a turn and of a message.
  let ends: [Int]

  init(metadata: GGUFMetadata) throws(ModelError) {
    let count = try Self.tokenCount(metadata)
    func id(_ name: String) throws(ModelError) -> Int? {
      let key = "tokenizer.ggml.\(name)"
      // Older converters write −1, or 2³² − 1, for none.
      guard let value = metadata[key], value.int != -1, value.int != Int(UInt32.max) else { return nil }
      guard let id = value.int, id >= 0, id < count else {
        throw metadata.fault(key, "is not the id of one of the \(count) tokens")
      }
      return id
    }
    bos = try id("bos_token_id")
    eos = try id("eos_token_id")
    unknown = try id("unknown_token_id")
    padding = try id("padding_token_id")
    var ends = [eos, try id("eot_token_id"), try id("eom_token_id")].compactMap(\.self)
    var seen = Set<Int>()
    ends.removeAll { !seen.insert($0).inserted }
    self.ends = ends
  }

  private static func tokenCount(_ metadata: GGUFMetadata) throws(ModelError) -> Int {
    if case .array(let tokens)? = metadata["tokenizer.ggml.tokens"] { return tokens.count }
    return 1 << 30
  }

  /// `generation_config.json`
  var generationConfig: JSONValue {
    var object = JSONObject()
    if let bos { object["bos_token_id"] = .number(bos) }
    if ends.count == 1 { object["eos_token_id"] = .number(ends[0]) }
    if ends.count > 1 { object["eos_token_id"] = .numbers(ends) }
    if let padding { object["pad_token_id"] = .number(padding) }
    return .object(object)
  }
}
