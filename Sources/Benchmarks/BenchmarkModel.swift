import Files
import JSON
import LanguageModel
import Service

/// A base model to train adapters of: it has as many matrices as Qwen2.5-0.5B, all of them small, random weights, and
/// a tokenizer whose tokens are the bytes.
enum BenchmarkModel {
  static let layers = 24
  private static let endOfText = "<|endoftext|>"

  /// Writes the model's folder.
  ///
  /// - Parameter path: must not be there yet; `<path>-parts` is used meanwhile.
  static func write(to path: String) throws {
    let parts = path + "-parts"
    try FileSystem.makeFolders(parts)
    try AtomicFile.write(configuration.bytes(), to: parts + "/config.json")
    try AtomicFile.write(tokenizer.bytes(), to: parts + "/tokenizer.json")
    let words: JSONValue = ["eos_token": .string(endOfText)]
    try AtomicFile.write(words.bytes(), to: parts + "/tokenizer_config.json")
    try ModelInitializer.create(config: parts + "/config.json", output: path, dtype: "bf16")
    try FileSystem.remove(parts)
  }

  private static let configuration: JSONValue = [
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": .number(layers),
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 257, "max_position_embeddings": 512,
    "tie_word_embeddings": true, "eos_token_id": 256,
  ]

  private static var tokenizer: JSONValue {
    let vocabulary = ByteLevelAlphabet.scalars.enumerated().map { byte, scalar in
      JSONObject.Member(key: String(scalar), value: .number(byte))
    }
    return [
      "version": "1.0",
      "added_tokens": [
        ["id": 256, "content": .string(endOfText), "special": true, "normalized": false]
      ],
      "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false], "decoder": ["type": "ByteLevel"],
      "model": ["type": "BPE", "vocab": .object(JSONObject(vocabulary)), "merges": []],
    ]
  }
}
