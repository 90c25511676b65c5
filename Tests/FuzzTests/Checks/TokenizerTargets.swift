import Foundation
import JSON

@testable import LanguageModel

extension FuzzTarget {
  /// `tokenizer.json`. What is accepted must encode and decode any text.
  static let tokenizer = FuzzTarget(name: "tokenizer", isJSON: true) { input in
    ScratchFolder.with(input, named: "tokenizer.json") { path in
      let folder = String(path.dropLast("/tokenizer.json".count))
      guard let tokenizer = try? Tokenizer(modelFolder: folder) else { return nil }
      return samples.lazy.compactMap { fault(of: tokenizer, on: $0) }.first
    }
  }

  /// A text through two tokenizers that hold most of what is built.
  static let tokenizerText = FuzzTarget(name: "tokenizer-text") { input in
    let text = String(decoding: input, as: UTF8.self)
    return knownTokenizers.lazy.compactMap { fault(of: $0, on: text) }.first
  }

  /// What the files beside `tokenizer.json` say of the end of a text.
  static let endOfText = FuzzTarget(name: "end-of-text") { input in
    var reader = InputReader(input)
    guard let folder = ScratchFolder() else { return "the scratch folder cannot be made" }
    let files = [
      ("tokenizer.json", Array(smallTokenizer.utf8)), ("tokenizer_config.json", reader.part()),
      ("generation_config.json", reader.part()), ("config.json", reader.part()),
    ]
    for (name, bytes) in files where !bytes.isEmpty {
      guard folder.write(bytes, to: name) != nil else { return "the scratch files cannot be written" }
    }
    guard let tokenizer = try? Tokenizer(modelFolder: folder.path) else { return nil }
    guard let end = tokenizer.eosTokenID else { return nil }
    guard end >= 0, let ids = try? tokenizer.trainingIDs(text: "a b", maxLength: .max) else {
      return "the end of text \(end) cannot be used"
    }
    return ids.last == end ? nil : "a row does not end in \(end): \(ids)"
  }

  private static let samples = [
    "", "a", " a b\n\n c ", "Hello, world! 12345", "<s>a</s>", "\u{E9}\u{301}\u{1F469}\u{200D}\u{1F680}",
    String(repeating: " ", count: 64) + String(repeating: "a", count: 64), "\u{0}\u{7F}\u{FFFD}",
  ]

  private static func fault(of tokenizer: Tokenizer, on text: String) -> String? {
    guard let ids = try? tokenizer.encode(text, addSpecialTokens: true) else { return nil }
    guard ids.allSatisfy({ $0 >= 0 && Int($0) < tokenizer.vocabularySize }) else {
      return "an id outside the vocabulary of \(tokenizer.vocabularySize): \(ids)"
    }
    let again = try? tokenizer.encode(text, addSpecialTokens: true)
    guard again == ids else { return "the same text became other ids" }
    _ = tokenizer.decode(ids, skipSpecialTokens: true)
    _ = tokenizer.decode(ids, skipSpecialTokens: false)
    return nil
  }

  /// One token for each byte, some merges, and pre-tokenizers of two kinds.
  private static func tokenizerText(pattern: String, normalizer: String) -> String {
    let letters = ByteLevelAlphabet.scalars.map { JSONValue.string(String(Character($0))).text }
    let vocabulary = letters.enumerated().map { "\($1): \($0)" }.joined(separator: ",")
    return """
      {"normalizer": \(normalizer),
       "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
         {"type": "Split", "pattern": {"Regex": \(JSONValue.string(pattern).text)}, "behavior": "Isolated"},
         {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
       "post_processor": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"},
       "model": {"type": "BPE", "vocab": {\(vocabulary), "ab": 256, "abc": 257, "\u{120}a": 258},
         "merges": ["a b", "ab c", ["\u{120}", "a"]]},
       "added_tokens": [{"id": 259, "content": "<s>", "special": true, "normalized": false, "lstrip": true},
         {"id": 260, "content": "</s>", "special": true, "rstrip": true, "single_word": true}]}
      """
  }

  private static let smallTokenizer = tokenizerText(pattern: #"\p{L}+|\s+"#, normalizer: "null")

  private static let knownTokenizers: [Tokenizer] = {
    let patterns = [
      (
        #"(?i:'s|'t|'re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"#,
        "null"
      ),
      (#"\p{Lu}\p{Ll}*|[\w--\d]+|\b"#, #"{"type": "NFC"}"#), (#"\s"#, #"{"type": "NFKD"}"#),
    ]
    return patterns.compactMap { pattern, normalizer in
      guard let folder = ScratchFolder() else { return nil }
      let text = tokenizerText(pattern: pattern, normalizer: normalizer)
      guard folder.write(Array(text.utf8), to: "tokenizer.json") != nil else { return nil }
      return withExtendedLifetime(folder) { try? Tokenizer(modelFolder: folder.path) }
    }
  }()
}
