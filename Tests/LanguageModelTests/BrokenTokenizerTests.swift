import Foundation
import Harness
import JSON
import LanguageModel
import Testing

/// Whatever of a tokenizer.json is broken, or not built, is named; nothing crashes.
@Suite struct BrokenTokenizerTests {
  private static let small = """
    {"version": "1.0", "truncation": null, "padding": null,
     "added_tokens": [{"id": 3, "content": "<e>", "single_word": false, "lstrip": false, "rstrip": false,
                       "normalized": false, "special": true}],
     "normalizer": {"type": "NFC"},
     "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
       {"type": "Split", "pattern": {"Regex": " ?[a-z]+|\\\\s"}, "behavior": "Isolated", "invert": false},
       {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
     "post_processor": {"type": "TemplateProcessing",
       "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<e>", "type_id": 0}}],
       "pair": [], "special_tokens": {"<e>": {"id": "<e>", "ids": [3], "tokens": ["<e>"]}}},
     "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
     "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
       "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
       "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}
    """

  private func folder(_ text: String) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.write("tokenizer.json", text)
    return folder
  }

  @Test func theSmallOneWorks() throws {
    let folder = try folder(Self.small)
    let tokenizer = try Tokenizer(modelFolder: folder.path)
    // tokenizers 0.23 passes over bytes without a token, too: [2, 3, 0, 3].
    #expect(try tokenizer.encode("abx<e>a", addSpecialTokens: true) == [2, 3, 0, 3])
    #expect(tokenizer.eosTokenID == nil)
    expectError("tokenizer.json", "eos_token") { _ = try tokenizer.trainingIDs(text: "a", maxLength: 4) }
  }

  @Test(arguments: [
    (#""version": "1.0""#, #""version": "2.0""#, "key \"version\": \"2.0\" is not supported"),
    (#"{"type": "NFC"}"#, #"{"type": "Precompiled"}"#, "normalizer.type\": the normalizer \"Precompiled\""),
    (#"{"type": "NFC"}"#, "7", "key \"normalizer\": must be an object"),
    (
      #""type": "Split""#, #""type": "Metaspace""#,
      "pretokenizers[0].type\": Metaspace is supported at the end"
    ),
    (#""Regex": " ?"#, #""Regex": "("#, "pattern.Regex\": the pattern"),
    (#""Regex": " ?"#, #""Regex": "\\w"#, "\\w is not supported"),
    (#""Regex": " ?"#, #""Regex": "\\p{Han}"#, "\\p{Han}, which is no general category"),
    (#""Regex": " ?"#, #""Regex": "^"#, "the anchor ^ is not supported"),
    (#""Regex": " ?"#, #""Regex": "[[:alpha:]]"#, "[ inside a class is not supported"),
    (#""Regex": " ?"#, #""Regex": "(?<x>a)"#, "the group (?<… is not supported"),
    (#""Regex": " ?"#, #""Regex": "(?i:ss)"#, "\"ss\" where case is ignored"),
    (#""Regex": " ?"#, #""Regex": "a{,3}"#, "{ that does not begin a count"),
    (#""behavior": "Isolated""#, #""behavior": "Kept""#, "behavior\": \"Kept\" is not one of"),
    (
      #""type": "ByteLevel", "add_prefix_space": false"#, #""type": "Whitespace""#,
      "the pre-tokenizer \"Whitespace\""
    ),
    (#""type": "TemplateProcessing""#, #""type": "BertProcessing""#, "the post-processor \"BertProcessing\""),
    (#""ids": [3]"#, #""ids": [4]"#, "adds the id 4, but the largest is 3"),
    (#""special_tokens": {"<e>""#, #""special_tokens": {"<f>""#, "\"<e>\" is missing"),
    (#"{"Sequence": {"id": "A", "type_id": 0}}, "#, "", "leaves out the text"),
    (#""decoder": {"type": "ByteLevel""#, #""decoder": {"type": "WordPiece""#, "the decoder \"WordPiece\""),
    (#""type": "BPE""#, #""type": "Unigram""#, "the model \"Unigram\" is not supported"),
    (#""dropout": null"#, #""dropout": 0.1"#, "dropout\": is 0.1"),
    (#""unk_token": null"#, #""unk_token": "a""#, "unk_token\": \"a\" is not supported where the byte 0"),
    (#""byte_fallback": false"#, #""byte_fallback": true"#, "byte_fallback\": is not supported"),
    (#""end_of_word_suffix": null"#, #""end_of_word_suffix": "</w>""#, "end_of_word_suffix"),
    (#""ab": 2"#, #""ab": 1"#, "model.vocab.ab\": the id 1 stands twice"),
    (#""ab": 2"#, #""ab": -1"#, "must be an id"),
    (#""ab": 2"#, #""ab": 99999999"#, "must be an id"),
    (#", "ab": 2"#, "", "entry 0 needs the token \"ab\""),
    (#"["a", "b"]"#, #""a b c""#, "entry 0, \"a b c\", is neither"),
    (#"["a", "b"]"#, "7", "entry 0, 7, is neither"),
    (
      #""id": 3, "content""#, #""id": 5, "content""#,
      "\"<e>\" has the id 5, but by the order of this file it is 3"
    ),
    (#""content": "<e>""#, #""content": "a""#, "\"a\" has the id 3, but by the order of this file it is 0"),
    (#""content": "<e>""#, #""content": """#, "must be a text that is not empty"),
    (#""merges": [["a", "b"]]}}"#, #""merges": [["a", "b"]]}"#, "is not valid JSON: line"),
  ])
  func partsAreNamed(part: String, replacement: String, reason: String) throws {
    try #require(Self.small.contains(part))
    let folder = try folder(Self.small.replacingOccurrences(of: part, with: replacement))
    expectError(folder.path + "/tokenizer.json", reason) { _ = try Tokenizer(modelFolder: folder.path) }
  }

  @Test func endOfTextIsNamed() throws {
    let folder = try folder(Self.small)
    // A name that is no token yet becomes one, with the next id, as in transformers.
    try folder.write("tokenizer_config.json", #"{"eos_token": "<f>"}"#)
    let added = try Tokenizer(modelFolder: folder.path)
    #expect(added.eosTokenID == Int32(added.vocabularySize - 1) && added.tokenID("<f>") == added.eosTokenID)
    try folder.write("tokenizer_config.json", #"{"eos_token": 7}"#)
    expectError("tokenizer_config.json", "must be a text or an object") {
      _ = try Tokenizer(modelFolder: folder.path)
    }
    try folder.write("tokenizer_config.json", #"{"added_tokens_decoder": {"x": {"content": "<f>"}}}"#)
    expectError("tokenizer_config.json", "added_tokens_decoder.x", "under the token's id") {
      _ = try Tokenizer(modelFolder: folder.path)
    }
    try folder.write("tokenizer_config.json", #"{"additional_special_tokens": "<f>"}"#)
    expectError("tokenizer_config.json", "additional_special_tokens", "must be a list") {
      _ = try Tokenizer(modelFolder: folder.path)
    }
    try folder.write("tokenizer_config.json", #"{"eos_token": null}"#)
    try folder.write("config.json", #"{"eos_token_id": [2, 1]}"#)
    #expect(try Tokenizer(modelFolder: folder.path).eosTokenID == 2)
    try folder.write("generation_config.json", #"{"eos_token_id": 1}"#)
    #expect(try Tokenizer(modelFolder: folder.path).eosTokenID == 1)
    let empty = try TemporaryFolder()
    expectError(empty.path + "/tokenizer.json", "no such file") { _ = try Tokenizer(modelFolder: empty.path) }
  }

  /// A few changed bytes give an error that names the file, or a tokenizer that still works.
  @Test func changedBytesNeverCrash() throws {
    let seed: UInt64 = 20_261_121
    var random = SplitMix64(seed: seed)
    let whole = Array(Self.small.utf8)
    let folder = try TemporaryFolder()
    var encoded = 0
    for _ in 0..<1000 {
      var changed = whole
      for _ in 0...random.next(below: 3) {
        changed[random.next(below: changed.count)] = UInt8(random.next(below: 128))
      }
      try folder.write("tokenizer.json", changed)
      do {
        let tokenizer = try Tokenizer(modelFolder: folder.path)
        let ids = try tokenizer.encode("ab <e>\u{e9}a\u{301} b", addSpecialTokens: true)
        _ = tokenizer.decode(ids + [-1, 1 << 30], skipSpecialTokens: false)
        encoded += 1
      } catch {
        #expect("\(error)".hasPrefix(folder.path), "\(error); seed \(seed)")
      }
    }
    #expect(encoded > 0, "seed \(seed)")
  }
}
