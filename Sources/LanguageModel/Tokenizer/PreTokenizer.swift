/// Cuts text into the pieces that byte-pair encoding works on, one step after the other.
struct PreTokenizer: Sendable {
  enum Behavior: String, Sendable, CaseIterable {
    /// A match is a piece of its own.
    case isolated = "Isolated"
    /// A match is dropped.
    case removed = "Removed"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    /// Matches that touch are one piece.
    case contiguous = "Contiguous"
  }

  enum Step: Sendable {
    /// With `inverted`, what lies between the matches counts as the match.
    case pattern(SplitPattern, Behavior, inverted: Bool)
    case literal([UInt8], Behavior, inverted: Bool)
    case digits(individual: Bool)
    case punctuation(Behavior)
    /// White space is dropped.
    case whitespaceSplit
  }

  var steps: [Step]
  /// Puts a space before each piece of the steps so far that does not begin with one (`ByteLevel`).
  var addsPrefixSpace = false
  /// The step after the prefix.
  var lastStep: Step?
  /// Steps after `ByteLevel`, which see each byte as the scalar of the byte-level alphabet.
  var laterSteps: [Step] = []
  /// Whether pieces are bytes, which the model has tokens for, or text.
  var isByteLevel = true
  /// The last step of what is not byte-level.
  var metaspace: Metaspace?

  /// Whether the first piece of a text is another than the same piece later.
  var asksForFirst: Bool { metaspace?.asksForFirst ?? false }

  /// Calls `body` with each piece of `text`, in order.
  ///
  /// - Parameter startLength: a piece that begins within so many bytes is the first of what is encoded; nothing stands
  ///   before it, not even an added token.
  func forEachPiece(
    of text: [UInt8], startLength: Int = 1, with scratch: SplitScratch,
    _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) throws(SplitPatternError) {
    if text.isEmpty { return }
    let searched = PatternPlaceholders.shared.apply(to: text)
    var pieces = [0..<text.count]
    for step in steps { pieces = try split(pieces, step, text, searched, scratch) }
    if let metaspace {
      for piece in pieces { emit(text[piece], metaspace, isFirst: piece.lowerBound < startLength, body) }
      return
    }
    if !laterSteps.isEmpty {
      for piece in pieces { try emitAlphabet(text[piece], scratch, body) }
      return
    }
    if !addsPrefixSpace {
      if let lastStep { pieces = try split(pieces, lastStep, text, searched, scratch) }
      Self.emit(pieces, of: text, body)
      return
    }
    for piece in pieces {
      let prefix: [UInt8] = text[piece.lowerBound] == 0x20 ? [] : [0x20]
      let prefixed = prefix + text[piece]
      var parts = [0..<prefixed.count]
      if let lastStep { parts = try split(parts, lastStep, prefixed, prefix + searched[piece], scratch) }
      Self.emit(parts, of: prefixed, body)
    }
  }

  private static func emit(
    _ pieces: [Range<Int>], of text: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    text.withUnsafeBufferPointer { bytes in
      for piece in pieces { body(UnsafeBufferPointer(rebasing: bytes[piece])) }
    }
  }

  private func emit(
    _ piece: ArraySlice<UInt8>, _ metaspace: Metaspace, isFirst: Bool,
    _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    let written = metaspace.written(piece, isFirst: isFirst)
    let whole = 0..<written.count
    let mark = Array(String(metaspace.replacement).utf8)
    let parts =
      metaspace.splits
      ? Self.cut(whole, at: Self.find(mark, in: written, whole), .mergedWithNext, inverted: false) : [whole]
    Self.emit(parts, of: written, body)
  }

  /// The rest of the steps over a piece in the byte-level alphabet, whose scalars are then bytes again.
  private func emitAlphabet(
    _ piece: ArraySlice<UInt8>, _ scratch: SplitScratch, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) throws(SplitPatternError) {
    let prefixed = (addsPrefixSpace && piece.first != 0x20 ? [0x20] : []) + piece
    var ranges = [0..<prefixed.count]
    if let lastStep {
      ranges = try split(
        ranges, lastStep, prefixed, PatternPlaceholders.shared.apply(to: prefixed), scratch)
    }
    for range in ranges {
      var written: [UInt8] = []
      // For each byte of what is written, the byte of the piece that it belongs to.
      var origins: [Int] = []
      for place in range {
        let scalar = Array(String(ByteLevelAlphabet.scalars[Int(prefixed[place])]).utf8)
        written += scalar
        origins += Array(repeating: place, count: scalar.count)
      }
      origins.append(range.upperBound)
      var parts = [0..<written.count]
      let searched = PatternPlaceholders.shared.apply(to: written)
      for step in laterSteps { parts = try split(parts, step, written, searched, scratch) }
      Self.emit(parts.map { origins[$0.lowerBound]..<origins[$0.upperBound] }, of: prefixed, body)
    }
  }

  /// Each piece is searched by itself: a pattern does not look beyond its ends.
  private func split(
    _ pieces: [Range<Int>], _ step: Step, _ text: [UInt8], _ searched: [UInt8], _ scratch: SplitScratch
  ) throws(SplitPatternError) -> [Range<Int>] {
    var result: [Range<Int>] = []
    result.reserveCapacity(pieces.count == 1 ? text.count / 4 : pieces.count)
    for piece in pieces {
      switch step {
      case .pattern(let pattern, .isolated, inverted: false):
        try Self.isolate(pattern, piece, searched, scratch, into: &result)
      case .pattern(let pattern, let behavior, let inverted):
        var matches: [Range<Int>] = []
        try Self.forEachMatch(of: pattern, in: searched, piece, scratch) { matches.append($0) }
        result += Self.cut(piece, at: matches, behavior, inverted: inverted)
      case .literal(let literal, let behavior, let inverted):
        result += Self.cut(piece, at: Self.find(literal, in: text, piece), behavior, inverted: inverted)
      case .punctuation(let behavior):
        let matches = Self.findScalars(in: text, piece, where: ReferenceUnicode.isPunctuation)
        result += Self.cut(piece, at: matches, behavior, inverted: false)
      case .whitespaceSplit:
        let matches = Self.findScalars(in: text, piece) { $0.properties.isWhitespace }
        result += Self.cut(piece, at: matches, .removed, inverted: false)
      case .digits(let individual):
        let behavior = individual ? Behavior.isolated : .contiguous
        result += Self.cut(piece, at: Self.findDigits(in: text, piece), behavior, inverted: false)
      }
    }
    return result
  }

  private static func forEachMatch(
    of pattern: SplitPattern, in text: [UInt8], _ piece: Range<Int>, _ scratch: SplitScratch,
    _ body: (Range<Int>) -> Void
  ) throws(SplitPatternError) {
    let result = text.withUnsafeBufferPointer { bytes in
      Result { () throws(SplitPatternError) in
        let subject = UnsafeBufferPointer(rebasing: bytes[piece])
        try pattern.forEachMatch(in: subject, with: scratch) { match in
          body((match.lowerBound + piece.lowerBound)..<(match.upperBound + piece.lowerBound))
        }
      }
    }
    try result.get()
  }

  /// The most common way of cutting, without a list of matches.
  private static func isolate(
    _ pattern: SplitPattern, _ piece: Range<Int>, _ text: [UInt8], _ scratch: SplitScratch,
    into result: inout [Range<Int>]
  ) throws(SplitPatternError) {
    var covered = piece.lowerBound
    try forEachMatch(of: pattern, in: text, piece, scratch) { match in
      if covered < match.lowerBound { result.append(covered..<match.lowerBound) }
      if !match.isEmpty { result.append(match) }
      covered = match.upperBound
    }
    if covered < piece.upperBound { result.append(covered..<piece.upperBound) }
  }

  private static func find(_ literal: [UInt8], in text: [UInt8], _ piece: Range<Int>) -> [Range<Int>] {
    var matches: [Range<Int>] = []
    var place = piece.lowerBound
    while place + literal.count <= piece.upperBound {
      let end = place + literal.count
      if text[place..<end].elementsEqual(literal) {
        matches.append(place..<end)
        place = end
      } else {
        place += 1
      }
    }
    return matches
  }

  private static func findScalars(
    in text: [UInt8], _ piece: Range<Int>, where isMatch: (Unicode.Scalar) -> Bool
  ) -> [Range<Int>] {
    var matches: [Range<Int>] = []
    var place = piece.lowerBound
    while place < piece.upperBound, let (scalar, length) = UTF8Scan.scalar(at: place, in: text) {
      if isMatch(scalar) { matches.append(place..<(place + length)) }
      place += length
    }
    return matches
  }

  private static func findDigits(in text: [UInt8], _ piece: Range<Int>) -> [Range<Int>] {
    var matches: [Range<Int>] = []
    var place = piece.lowerBound
    while place < piece.upperBound {
      let byte = text[place]
      if byte < 0x80 {
        if byte >= 0x30, byte <= 0x39 { matches.append(place..<(place + 1)) }
        place += 1
      } else {
        guard let (scalar, length) = UTF8Scan.scalar(at: place, in: text) else { break }
        if ReferenceUnicode.isNumeric(scalar) { matches.append(place..<(place + length)) }
        place += length
      }
    }
    return matches
  }

  /// Cuts `piece` at matches, which are ascending and do not overlap; empty pieces are dropped.
  static func cut(
    _ piece: Range<Int>, at matches: [Range<Int>], _ behavior: Behavior, inverted: Bool
  ) -> [Range<Int>] {
    var parts: [(range: Range<Int>, isMatch: Bool)] = []
    var covered = piece.lowerBound
    for match in matches {
      if covered < match.lowerBound { parts.append((covered..<match.lowerBound, inverted)) }
      parts.append((match, !inverted))
      covered = match.upperBound
    }
    if covered < piece.upperBound { parts.append((covered..<piece.upperBound, inverted)) }
    let pieces: [Range<Int>]
    switch behavior {
    case .isolated: pieces = parts.map(\.range)
    case .removed: pieces = parts.filter { !$0.isMatch }.map(\.range)
    case .contiguous: pieces = joined(parts) { $0 == $1 }
    case .mergedWithPrevious: pieces = joined(parts) { previous, current in current && !previous }
    case .mergedWithNext:
      pieces = joined(parts.reversed()) { previous, current in current && !previous }.reversed()
    }
    return pieces.filter { !$0.isEmpty }
  }

  /// Joins a part to the one before it where `joins` (was the one before a match, is this one) says so.
  private static func joined(
    _ parts: [(range: Range<Int>, isMatch: Bool)], _ joins: (_ previous: Bool, _ current: Bool) -> Bool
  ) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var previous = false
    for part in parts {
      if let last = result.last, joins(previous, part.isMatch) {
        let start = min(last.lowerBound, part.range.lowerBound)
        result[result.count - 1] = start..<max(last.upperBound, part.range.upperBound)
      } else {
        result.append(part.range)
      }
      previous = part.isMatch
    }
    return result
  }
}
