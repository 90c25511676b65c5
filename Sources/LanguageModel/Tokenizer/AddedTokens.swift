/// The tokens that are cut out of a text before anything else is done to it, `<|im_end|>` for one.
struct AddedTokens: Sendable {
  struct Token: Sendable {
    let id: Int32
    let content: String
    /// Takes the white space before it along.
    let lstrip: Bool
    /// Takes the white space after it along.
    let rstrip: Bool
    /// Counts only where no word character touches it.
    let singleWord: Bool
    /// Is looked for, in its normalized form, in the normalized text instead of in the text as it came.
    let normalized: Bool
    /// Is left out of decoded text if so asked.
    let special: Bool
  }

  /// A part of a text: an added token, or text between two of them.
  struct Part {
    let range: Range<Int>
    let id: Int32?
  }

  let tokens: [Token]
  private let raw: TokenTrie
  private let normalized: TokenTrie

  /// Special tokens are passed over as text.
  private let passesSpecial: Bool

  init(tokens: [Token], normalizer: TextNormalizer, passesSpecial: Bool = false) {
    self.tokens = tokens
    self.passesSpecial = passesSpecial
    // Where two tokens are looked for as the same text, special ones go first. Which of several normalized ones that become
    // the same text goes first differs in the reference each time a file is read.
    let ordered = tokens.indices.filter { tokens[$0].special } + tokens.indices.filter { !tokens[$0].special }
    var raw = TokenTrie()
    var normalized = TokenTrie()
    for index in ordered {
      let content = Array(tokens[index].content.utf8)
      if tokens[index].normalized {
        normalized.insert(normalizer.normalize(content[...]), index)
      } else {
        raw.insert(content, index)
      }
    }
    self.raw = raw
    self.normalized = normalized
  }

  /// Cuts text as it came.
  func split(_ text: [UInt8]) -> [Part] { split(text, with: raw) }
  /// Cuts text that has been normalized.
  func split(normalized text: [UInt8]) -> [Part] { split(text, with: normalized) }

  /// The leftmost token, and the longest where several begin, then on from its end. A token that may stand only
  /// as a word of its own and does not is passed over whole.
  private func split(_ text: [UInt8], with trie: TokenTrie) -> [Part] {
    guard !trie.isEmpty else { return text.isEmpty ? [] : [Part(range: 0..<text.count, id: nil)] }
    var parts: [Part] = []
    var covered = 0
    var place = 0
    while let (match, index) = trie.firstMatch(in: text, from: place) {
      place = match.upperBound
      let token = tokens[index]
      if passesSpecial, token.special { continue }
      if token.singleWord, touchesWord(text, match) { continue }
      var start = match.lowerBound
      var end = match.upperBound
      if token.lstrip { start = max(spacesEnding(at: start, in: text), covered) }
      if token.rstrip { end = spacesStarting(at: end, in: text) }
      if covered < start { parts.append(Part(range: covered..<start, id: nil)) }
      // Of white space alone, all of which went along with the token before it, the reference makes no token.
      if start < end { parts.append(Part(range: start..<end, id: token.id)) }
      covered = max(start, end)
    }
    if covered < text.count { parts.append(Part(range: covered..<text.count, id: nil)) }
    return parts
  }

  private func touchesWord(_ text: [UInt8], _ match: Range<Int>) -> Bool {
    let before = UTF8Scan.scalar(endingAt: match.lowerBound, in: text).map {
      ReferenceUnicode.isWord($0.scalar)
    }
    let after = UTF8Scan.scalar(at: match.upperBound, in: text).map { ReferenceUnicode.isWord($0.scalar) }
    return before == true || after == true
  }

  private func spacesEnding(at end: Int, in text: [UInt8]) -> Int {
    var place = end
    while let (scalar, length) = UTF8Scan.scalar(endingAt: place, in: text), scalar.properties.isWhitespace {
      place -= length
    }
    return place
  }

  private func spacesStarting(at start: Int, in text: [UInt8]) -> Int {
    var place = start
    while let (scalar, length) = UTF8Scan.scalar(at: place, in: text), scalar.properties.isWhitespace {
      place += length
    }
    return place
  }
}

/// The texts of tokens as a tree of bytes.
private struct TokenTrie: Sendable {
  private var children: [UInt64: Int] = [:]
  /// For each node the index of the token that ends there, or −1. Node 0 is the root.
  private var ends: [Int] = [-1]
  private var firstBytes = [Bool](repeating: false, count: 256)

  var isEmpty: Bool { ends.count == 1 }

  /// Of two tokens with the same text the first one stays.
  mutating func insert(_ text: [UInt8], _ index: Int) {
    guard let first = text.first else { return }
    firstBytes[Int(first)] = true
    var node = 0
    for byte in text {
      let key = UInt64(node) << 8 | UInt64(byte)
      if let child = children[key] {
        node = child
      } else {
        children[key] = ends.count
        node = ends.count
        ends.append(-1)
      }
    }
    if ends[node] < 0 { ends[node] = index }
  }

  func firstMatch(in text: [UInt8], from start: Int) -> (Range<Int>, Int)? {
    for place in start..<max(start, text.count) where firstBytes[Int(text[place])] {
      var node = 0
      var longest: (Range<Int>, Int)?
      for end in place..<text.count {
        guard let child = children[UInt64(node) << 8 | UInt64(text[end])] else { break }
        node = child
        if ends[node] >= 0 { longest = (place..<(end + 1), ends[node]) }
      }
      if let longest { return longest }
    }
    return nil
  }
}
