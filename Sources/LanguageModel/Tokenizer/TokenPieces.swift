/// What each token id stands for in a text.
struct TokenPieces: Sendable {
  private var bytes: [UInt8] = []
  /// Where the bytes of each id begin and end; both 0 for an id without a token.
  private var spans: [(start: Int, end: Int)]
  private var special = Set<Int32>()
  private let byteLevel: Bool

  /// One more than the largest id.
  var count: Int { spans.count }

  /// - Parameter byteLevel: tokens are written in the byte-level alphabet, and stand for bytes; else for their text.
  init(
    vocabulary: Vocabulary, added: [AddedTokens.Token], normalizer: TextNormalizer, byteLevel: Bool
  ) {
    self.byteLevel = byteLevel
    let largest = max(vocabulary.tokens.map(\.id).max() ?? -1, added.map(\.id).max() ?? -1)
    spans = Array(repeating: (0, 0), count: Int(largest) + 1)
    for (text, id) in vocabulary.tokens { set(id, text) }
    for token in added {
      let content = Array(token.content.utf8)
      set(
        token.id, String(decoding: token.normalized ? normalizer.normalize(content) : content, as: UTF8.self))
      if token.special { special.insert(token.id) }
    }
  }

  /// As the reference's decoder does: a token whose scalars are all of the byte-level alphabet stands for these
  /// bytes, even an added one; any other stands for itself.
  private mutating func set(_ id: Int32, _ text: String) {
    let start = bytes.count
    bytes.append(contentsOf: (byteLevel ? ByteLevelAlphabet.bytes(of: text) : nil) ?? Array(text.utf8))
    spans[Int(id)] = (start, bytes.count)
  }

  /// The bytes of a token; none for an id that has no token.
  subscript(id: Int32) -> ArraySlice<UInt8> {
    guard id >= 0, Int(id) < spans.count else { return [] }
    let span = spans[Int(id)]
    return bytes[span.start..<span.end]
  }

  func isToken(_ id: Int32) -> Bool { id >= 0 && Int(id) < spans.count && spans[Int(id)].end > 0 }

  func isSpecial(_ id: Int32) -> Bool { special.contains(id) }
}
