import LanguageModel

/// What makes token ids of text, as training reads it.
public protocol TextEncoder: Sendable {
  /// The first `maxLength` of the ids of a text and the EOS after them.
  func trainingIDs(text: String, maxLength: Int) throws -> [Int32]
  /// The ids of a text that others follow: without an EOS of its own.
  func promptIDs(text: String) throws -> [Int32]
  /// The ids of a text that has its special tokens in it, and how many of them have their first byte before each of
  /// some places, which are numbers of bytes of UTF-8.
  func encode(_ text: String, countingBefore places: [Int]) throws -> (ids: [Int32], counts: [Int])
  /// The text of ids, for people.
  func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String
  /// The tokens that end a turn.
  var turnEndTokenIDs: Set<Int32> { get }
}

extension Tokenizer: TextEncoder {}
