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

  /// Several pieces may begin with the first character: what was put before it, and what it was taken apart into. The
  /// reference is the same, with a step before Metaspace.
  @Test(arguments: [
    (#"{"type": "Prepend", "prepend": "ab"}"#, "1a", [0, 1, 2, 0, 3, 1]),
    (#"{"type": "Prepend", "prepend": "ab"}"#, "11a", [0, 1, 2, 0, 3, 3, 1]),
    (#"{"type": "Prepend", "prepend": "ab"}"#, "a1", [0, 1, 2, 1, 3]),
    (
      #"{"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "Prepend", "prepend": "1"}]}"#,
      "A1",
      [0, 3, 0, 1, 3]
    ),
    (#"{"type": "NFKC"}"#, "\u{2034}a", [0, 5, 0, 5, 0, 5, 1]),
    (#"{"type": "NFKC"}"#, "a\u{2034}", [0, 1, 5, 5, 5]),
  ]) func severalFirstPieces(normalizer: String, text: String, expected: [Int32]) throws {
    let step =
      normalizer.contains("NFKC")
      ? #"{"type": "Split", "pattern": {"String": "′"}, "behavior": "Isolated", "invert": false}"#
      : #"{"type": "Digits", "individual_digits": true}"#
    let tokenizer = try tokenizer(
      normalizer: normalizer,
      preTokenizer: #"""
        {"type": "Sequence", "pretokenizers": [\#(step),
         {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}]}
        """#)
    #expect(try tokenizer.encode(text, addSpecialTokens: false) == expected)
  }

  /// Of added tokens that are white space, and that another has taken along, tokenizers 0.23.3 makes nothing.
  @Test(arguments: [
    ("\t\t\t", [8]), ("a\t\tb", [1, 8, 2]), ("<x>\nb", [10, 2]), ("a \n\t b\n", [1, 7, 8, 2, 7]),
  ]) func whiteSpaceThatWentAlong(text: String, expected: [Int32]) throws {
    let tokenizer = try tokenizer(
      added: """
        {"id": 8, "content": "\\t", "lstrip": true, "rstrip": true, "normalized": false},
        {"id": 10, "content": "<x>", "rstrip": true, "normalized": false},
        {"id": 7, "content": "\\n", "lstrip": true, "normalized": false}
        """)
    #expect(try tokenizer.encode(text, addSpecialTokens: false) == expected)
  }

  private func tokenizer(normalizer: String = "null", preTokenizer: String = "null", added: String = "")
    throws -> Tokenizer
  {
    let vocabulary = ["▁", "a", "b", "1", "²", "\u{2032}", "x", "\\n", "\\t", "c"].enumerated().map {
      #""\#($1)": \#($0)"#
    }
    let folder = try TemporaryFolder()
    try folder.write(
      "tokenizer.json",
      """
      {"version": "1.0", "added_tokens": [\(added)], "normalizer": \(normalizer), "pre_tokenizer": \(preTokenizer),
       "post_processor": null, "decoder": null,
       "model": {"type": "BPE", "vocab": {\(vocabulary.joined(separator: ", "))}, "merges": []}}
      """)
    return try Tokenizer(modelFolder: folder.path)
  }
}
