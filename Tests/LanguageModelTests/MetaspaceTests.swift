import Harness
import LanguageModel
import Testing

/// Which piece of a text Metaspace takes for its first, behind a normalizer that changes the beginning. The reference is
/// tokenizers 0.23.3:
///
///     t = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate("▁abcxyz éE")}, merges=[]))
///     t.normalizer, t.pre_tokenizer = normalizer, pre_tokenizers.Metaspace(prepend_scheme="first")
///     t.encode(text).tokens
@Suite struct MetaspaceTests {
  private static let strip = #"{"type": "Strip", "strip_left": true, "strip_right": false}"#

  private static func replace(_ literal: String, _ content: String) -> String {
    #"{"type": "Replace", "pattern": {"String": "\#(literal)"}, "content": "\#(content)"}"#
  }

  private func tokens(_ normalizer: String, _ text: String) throws -> String {
    let vocabulary = "▁abcxyz éE".unicodeScalars.enumerated().map { #""\#($1)": \#($0)"# }
    let folder = try TemporaryFolder()
    try folder.write(
      "tokenizer.json",
      """
      {"version": "1.0", "added_tokens": [], "normalizer": \(normalizer),
       "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
       "post_processor": null, "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": true},
       "model": {"type": "BPE", "vocab": {\(vocabulary.joined(separator: ", "))}, "merges": []}}
      """)
    let tokenizer = try Tokenizer(modelFolder: folder.path)
    let names = Array("▁abcxyz éE".unicodeScalars)
    return try tokenizer.encode(text, addSpecialTokens: false).map { String(names[Int($0)]) }.joined()
  }

  @Test(arguments: [
    (strip, "abc", "▁abc"), (strip, " abc", "abc"), (strip, "  a", "a"), (replace("a", ""), "abc", "bc"),
    (replace("a", ""), " abc", "▁bc"), (replace("a", "x"), "abc", "▁xbc"), (replace("ab", "x"), "abc", "xc"),
    (replace("ab", "xy"), "abc", "xyc"), (replace("ab", "x"), "aab", "▁ax"), (replace("é", ""), "éa", "a"),
    (replace("é", "x"), "éa", "▁xa"), (#"{"type": "Prepend", "prepend": "x"}"#, "abc", "▁xabc"),
    (
      #"{"type": "Sequence", "normalizers": [\#(strip), {"type": "Prepend", "prepend": "x"}]}"#, " abc",
      "xabc"
    ),
    (#"{"type": "Replace", "pattern": {"Regex": "a+"}, "content": "x"}"#, "aab", "xb"),
    (#"{"type": "Replace", "pattern": {"Regex": "a+"}, "content": "x"}"#, "abc", "▁xbc"),
  ]) func theFirstPiece(normalizer: String, text: String, expected: String) throws {
    #expect(try tokens(normalizer, text) == expected, "\(normalizer) of \"\(text)\"")
  }
}
