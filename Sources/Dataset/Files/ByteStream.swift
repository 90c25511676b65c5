/// The bytes of a file one after the other, with a look at the next one; of the file a piece is in memory.
struct ByteStream: ~Copyable {
  private static let pieceLength = 1 << 20

  private let source: ByteSource
  private var piece: [UInt8]
  private var place = 0
  private var end = 0

  init(_ source: ByteSource) {
    self.source = source
    piece = [UInt8](repeating: 0, count: Self.pieceLength)
  }

  /// The byte that `next` will give; nil at the end.
  mutating func peek() throws(DataError) -> UInt8? {
    if place == end {
      place = 0
      end = try piece.withMutableBytes { bytes throws(DataError) in try source.read(into: bytes) }
    }
    return place < end ? piece[place] : nil
  }

  mutating func next() throws(DataError) -> UInt8? {
    let byte = try peek()
    if byte != nil { place += 1 }
    return byte
  }

  /// Passes over the mark that some programs put before UTF-8.
  mutating func skipByteOrderMark() throws(DataError) {
    // The first piece has at least what the file's kind was told by.
    guard try peek() == 0xEF, end - place >= 3, piece[place + 1] == 0xBB, piece[place + 2] == 0xBF else {
      return
    }
    place += 3
  }
}
