import Files
import JSON

/// Writes a tokenizer's added tokens into the files of a folder, so that whoever reads these, transformers too, gives the
/// same ids.
public enum TokenizerWriter {
  /// Completes `tokenizer.json`, and `added_tokens_decoder` of `tokenizer_config.json` where there is one; both are there
  /// already, as the base model has them.
  public static func write(_ tokenizer: Tokenizer, to folder: String) throws {
    let added = tokenizer.addedTokens.sorted { $0.id < $1.id }
    try change(folder + "/tokenizer.json") { object in
      var list = object["added_tokens"]?.array ?? []
      let known = Set(list.compactMap { $0["content"]?.string.map(String.UTF8Bytes.init) })
      list += added.filter { !known.contains(.init($0.content)) }.map { token in
        .object(JSONObject([.init(key: "id", value: .number(Int(token.id)))] + flags(token).members))
      }
      object["added_tokens"] = .array(list)
    }
    let config = folder + "/" + TokenizerSettings.configName
    guard FileSystem.kind(config) == .file else { return }
    try change(config) { object in
      guard var decoder = object["added_tokens_decoder"]?.object else { return }
      for token in added where decoder["\(token.id)"] == nil {
        decoder["\(token.id)"] = .object(flags(token))
      }
      object["added_tokens_decoder"] = .object(decoder)
    }
  }

  private static func flags(_ token: AddedTokens.Token) -> JSONObject {
    [
      "content": .string(token.content), "single_word": .bool(token.singleWord),
      "lstrip": .bool(token.lstrip),
      "rstrip": .bool(token.rstrip), "normalized": .bool(token.normalized), "special": .bool(token.special),
    ]
  }

  private static func change(_ path: String, _ body: (inout JSONObject) -> Void) throws {
    guard var object = try readJSON(path: path).object else {
      throw ModelError(file: path, "must hold a JSON object")
    }
    body(&object)
    try AtomicFile.write(JSONValue.object(object).bytes(indent: 2), to: path)
  }

  /// The tokens that an adapter's folder adds to a base model's tokenizer: those of its `tokenizer.json` with ids that the
  /// base model's has not. In the folder `peft` of a checkpoint there is none; it is beside it.
  ///
  /// - Returns: their texts, in the order of their ids; none if the folder has no `tokenizer.json`.
  public static func tokens(addedIn folder: String, to base: Tokenizer) throws(ModelError) -> [String] {
    let places = [folder, FileSystem.name(of: folder) == AdapterForm.peftFolder ? folder + "/.." : folder]
    guard let path = places.map({ $0 + "/tokenizer.json" }).first(where: { FileSystem.kind($0) == .file })
    else { return [] }
    let json = try readJSON(path: path)
    let tokens = (json["added_tokens"]?.array ?? []).compactMap { item -> (id: Int, text: String)? in
      guard let id = item["id"]?.int, id >= base.vocabularySize, let text = item["content"]?.string else {
        return nil
      }
      return (id, text)
    }
    return tokens.sorted { $0.id < $1.id }.map(\.text)
  }
}
