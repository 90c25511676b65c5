/// The lines of a file, read in pieces, so that a file of any size takes the memory of its longest line.
struct LineReader: ~Copyable {
  static let maximumLineLength = 1 << 28
  private static let pieceLength = 1 << 20

  private let source: ByteSource
  private var buffer: [UInt8] = []
  /// What of `buffer` was handed out, and what was searched for an end of line.
  private var start = 0
  private var searched = 0
  private var isAtEnd = false
  private(set) var lineNumber = 0

  init(source: ByteSource) { self.source = source }

  /// Calls `body` with the next line, without its end, and says whether there was one. The bytes are valid
  /// during the call only.
  mutating func next<Failure: Error>(
    _ body: (_ line: Int, UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws -> Bool {
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        try hand(start..<end, body)
        start = end + 1
        searched = start
        return true
      }
      searched = buffer.count
      if isAtEnd {
        guard start < buffer.count else { return false }
        try hand(start..<buffer.count, body)
        start = buffer.count
        return true
      }
      try readPiece()
    }
  }

  private mutating func hand<Failure: Error>(
    _ range: Range<Int>, _ body: (Int, UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    lineNumber += 1
    let line = lineNumber
    let result = buffer.withUnsafeBytes { bytes in
      Result { () throws(Failure) in try body(line, UnsafeRawBufferPointer(rebasing: bytes[range])) }
    }
    try result.get()
  }

  private mutating func readPiece() throws(DataError) {
    buffer.removeFirst(start)
    searched -= start
    start = 0
    guard buffer.count <= Self.maximumLineLength else {
      throw DataError(
        file: source.path, line: lineNumber + 1,
        reason: "a line of more than \(Self.maximumLineLength) bytes",
        remedy: "a JSONL file has one row a line")
    }
    let old = buffer.count
    buffer.append(contentsOf: repeatElement(0, count: Self.pieceLength))
    let count = try buffer.withMutableBytes { bytes throws(DataError) in
      try source.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[old...]))
    }
    buffer.removeLast(Self.pieceLength - count)
    isAtEnd = count == 0
  }
}
