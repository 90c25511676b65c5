/// What is done to a text before it is cut: normal forms of Unicode, and the replacements of SentencePiece.
struct TextNormalizer: Sendable {
  enum Step: Sendable {
    case form(UnicodeNormalizer.Form)
    /// Put before a text that is not empty.
    case prepend([UInt8])
    case replace([UInt8], with: [UInt8])
    case replaceMatches(SplitPattern, with: [UInt8])
    /// Takes white space away.
    case strip(left: Bool, right: Bool)
    case lowercase
  }

  var steps: [Step]

  func normalize(_ text: ArraySlice<UInt8>) -> [UInt8] { normalize(Array(text)) }
  func normalize(_ text: [UInt8]) -> [UInt8] { steps.reduce(text) { Self.apply($1, to: $0) } }

  private static func apply(_ step: Step, to text: [UInt8]) -> [UInt8] {
    switch step {
    case .form(let form): return UnicodeNormalizer(forms: [form]).normalize(text)
    case .prepend(let prefix): return text.isEmpty ? text : prefix + text
    case .replace(let literal, let content): return text.replacing(literal, with: content)
    case .replaceMatches(let pattern, let content): return replace(pattern, in: text, with: content)
    case .strip(let left, let right): return stripped(text, left: left, right: right)
    case .lowercase: return Array(String(decoding: text, as: UTF8.self).lowercasedScalars.utf8)
    }
  }

  /// How many bytes of a text, once it is normalized, stand for its first character, what was put before it included: the
  /// crate `tokenizers` takes each piece that begins there for the first of the text. 0 if the first character was taken
  /// away, or is one of several for which something else stands.
  func startLength(of text: [UInt8]) -> Int {
    var text = text
    var length = UTF8Scan.scalar(at: 0, in: text)?.length ?? 0
    for step in steps {
      if Self.movesStart(step, of: text) { return 0 }
      let next = Self.apply(step, to: text)
      length = Self.startLength(step, text[..<length], next)
      text = next
    }
    return length
  }

  /// - Parameters:
  ///   - start: what stands for the first character before the step.
  ///   - text: the whole text after it.
  private static func startLength(_ step: Step, _ start: ArraySlice<UInt8>, _ text: [UInt8]) -> Int {
    switch step {
    case .prepend(let prefix): return start.isEmpty ? 0 : prefix.count + start.count
    case .strip: return min(start.count, text.count)
    case .form, .replace, .replaceMatches, .lowercase:
      let alone = apply(step, to: Array(start))
      // What composes with the character after it is one character with it.
      return text.starts(with: alone) ? alone.count : UTF8Scan.scalar(at: 0, in: text)?.length ?? 0
    }
  }

  private static func movesStart(_ step: Step, of text: [UInt8]) -> Bool {
    switch step {
    case .form, .prepend, .lowercase: return false
    case .strip(let left, _):
      guard left, let (scalar, _) = UTF8Scan.scalar(at: 0, in: text) else { return false }
      return scalar.properties.isWhitespace
    case .replace(let literal, let content):
      return text.starts(with: literal) && moves(literal[...], content)
    case .replaceMatches(let pattern, let content):
      guard let match = firstMatch(of: pattern, in: text), match.lowerBound == 0 else { return false }
      return moves(text[match], content)
    }
  }

  private static func moves(_ replaced: ArraySlice<UInt8>, _ content: [UInt8]) -> Bool {
    let scalars = replaced.count { $0 & 0xC0 != 0x80 }
    return scalars > (content.isEmpty ? 0 : 1)
  }

  private static func firstMatch(of pattern: SplitPattern, in text: [UInt8]) -> Range<Int>? {
    var first: Range<Int>?
    PatternPlaceholders.shared.apply(to: text).withUnsafeBufferPointer { bytes in
      try? pattern.forEachMatch(in: bytes, with: SplitScratch()) { first = first ?? $0 }
    }
    return first
  }

  /// Text that the pattern fails on, for want of memory for one, stays as it is.
  private static func replace(_ pattern: SplitPattern, in text: [UInt8], with content: [UInt8]) -> [UInt8] {
    let searched = PatternPlaceholders.shared.apply(to: text)
    var result: [UInt8] = []
    var covered = 0
    searched.withUnsafeBufferPointer { bytes in
      try? pattern.forEachMatch(in: bytes, with: SplitScratch()) { match in
        result += text[covered..<match.lowerBound] + content
        covered = match.upperBound
      }
    }
    return result + text[covered...]
  }

  private static func stripped(_ text: [UInt8], left: Bool, right: Bool) -> [UInt8] {
    var (start, end) = (0, text.count)
    while left, start < end, let (scalar, length) = UTF8Scan.scalar(at: start, in: text),
      scalar.properties.isWhitespace
    { start += length }
    while right, end > start, let (scalar, length) = UTF8Scan.scalar(endingAt: end, in: text),
      scalar.properties.isWhitespace
    { end -= length }
    return Array(text[start..<end])
  }
}

extension [UInt8] {
  /// Every occurrence of a text that is not empty, from left to right.
  func replacing(_ literal: [UInt8], with content: [UInt8]) -> [UInt8] {
    guard let first = literal.first, contains(first) else { return self }
    var result: [UInt8] = []
    result.reserveCapacity(count)
    var place = 0
    while place < count {
      if self[place] == first, place + literal.count <= count,
        self[place..<(place + literal.count)].elementsEqual(literal)
      {
        result += content
        place += literal.count
      } else {
        result.append(self[place])
        place += 1
      }
    }
    return result
  }
}

extension String {
  /// Each scalar by itself in lower case, as Rust has it.
  fileprivate var lowercasedScalars: String {
    unicodeScalars.reduce(into: "") { $0 += $1.properties.lowercaseMapping }
  }
}
