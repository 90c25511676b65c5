/// Finds where in a text its tokens begin, by reading the text and the tokens side by side.
///
/// A token's bytes are those of the text, but for what pre-tokenizers write otherwise: a space as `▁`, a byte as `<0x0A>`,
/// a space before a text that has none, white space that no token stands for.
struct TokenAlignment {
  private let text: [UInt8]
  private let pieces: TokenPieces
  private let isByteLevel: Bool
  private var place = 0

  /// The sign that SentencePiece writes for a space (U+2581).
  private static let mark: [UInt8] = [0xE2, 0x96, 0x81]

  /// - Parameter text: normalized.
  init(text: [UInt8], pieces: TokenPieces, isByteLevel: Bool) {
    self.text = text
    self.pieces = pieces
    self.isByteLevel = isByteLevel
  }

  /// The place in the text of the first byte of the next token.
  mutating func next(_ id: Int32) -> Int {
    let piece = isByteLevel ? pieces[id] : byte(of: pieces[id]) ?? pieces[id]
    var start = place
    while true {
      if let end = match(piece, at: start) {
        place = end
        return start
      }
      // White space may have been dropped before the token.
      guard let (scalar, length) = UTF8Scan.scalar(at: start, in: text), scalar.properties.isWhitespace else {
        break
      }
      start += length
    }
    // An unknown token: it stands for one character at the least.
    start = min(place, text.count)
    place = start + (UTF8Scan.scalar(at: start, in: text)?.length ?? (start < text.count ? 1 : 0))
    return start
  }

  /// Where a token ends that begins at a place; nil if it does not begin there.
  private func match(_ piece: ArraySlice<UInt8>, at start: Int) -> Int? {
    match(piece[...], from: start) ?? withoutSpace(piece).flatMap { match($0, from: start) }
  }

  private func match(_ piece: ArraySlice<UInt8>, from start: Int) -> Int? {
    var (rest, place) = (piece, start)
    while let byte = rest.first {
      guard place < text.count else { return nil }
      if text[place] == byte {
        rest = rest.dropFirst()
      } else if !isByteLevel, text[place] == 0x20, rest.starts(with: Self.mark) {
        rest = rest.dropFirst(Self.mark.count)
      } else {
        return nil
      }
      place += 1
    }
    return place
  }

  /// A token without the space at its beginning that was put before the text.
  private func withoutSpace(_ piece: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    if isByteLevel { return piece.first == 0x20 ? piece.dropFirst() : nil }
    return piece.starts(with: Self.mark) ? piece.dropFirst(Self.mark.count) : nil
  }

  /// The byte that a token such as `<0x0A>` stands for.
  private func byte(of piece: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard piece.count == 6, piece.starts(with: Array("<0x".utf8)), piece.last == UInt8(ascii: ">") else {
      return nil
    }
    return UInt8(String(decoding: piece.dropFirst(3).dropLast(), as: UTF8.self), radix: 16).map { [$0] }
  }
}
