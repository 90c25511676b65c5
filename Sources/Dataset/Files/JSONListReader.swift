/// Cuts one JSON list into its elements, which may be indented over many lines. One element is in memory at a time.
struct JSONListReader: ~Copyable {
  private let path: String
  private var bytes: ByteStream
  private var line = 1
  /// The bytes of the element that is being read.
  private var element: [UInt8] = []

  init(source: ByteSource) {
    path = source.path
    bytes = ByteStream(source)
  }

  /// Calls `body` with each element and the line where it begins; the bytes are valid during the call only. Elements are
  /// cut at the commas between them; whether they are JSON is for `body` to say.
  mutating func forEachElement(_ body: (_ line: Int, UnsafeRawBufferPointer) throws -> Void) throws {
    try bytes.skipByteOrderMark()
    try skipSpace()
    _ = try next()
    try skipSpace()
    if try bytes.peek() == UInt8(ascii: "]") {
      _ = try next()
      return try checkEnd()
    }
    while true {
      try skipSpace()
      let beginLine = line
      let closes = try readElement()
      guard !element.isEmpty else {
        throw DataError(file: path, line: beginLine, reason: "not JSON: an element is missing")
      }
      try element.withUnsafeBytes { try body(beginLine, $0) }
      if closes { return try checkEnd() }
    }
  }

  /// Reads an element, without the white space after it, and the comma or bracket behind it.
  ///
  /// - Returns: whether that is the bracket.
  private mutating func readElement() throws(DataError) -> Bool {
    element.removeAll(keepingCapacity: true)
    var depth = 0
    var isInString = false
    var length = 0
    while let byte = try next() {
      if isInString {
        if byte == UInt8(ascii: "\\"), let escaped = try next() {
          element.append(byte)
          element.append(escaped)
          length = element.count
          continue
        }
        if byte == UInt8(ascii: "\"") { isInString = false }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"): depth -= 1
        case UInt8(ascii: ","), UInt8(ascii: "]"):
          let closes = byte == UInt8(ascii: "]")
          if depth <= 0 {
            element.removeLast(element.count - length)
            return closes
          }
          if closes { depth -= 1 }
        default: break
        }
      }
      element.append(byte)
      if !Self.isSpace(byte) { length = element.count }
      guard element.count <= LineReader.maximumLineLength else {
        throw DataError(
          file: path, line: line, reason: "an element of more than \(LineReader.maximumLineLength) bytes",
          remedy: "give one row a line, in a JSONL file")
      }
    }
    throw DataError(
      file: path, line: line, reason: "not JSON: the list that begins in this file does not end",
      remedy: "close it with ], or give one row a line")
  }

  private mutating func next() throws(DataError) -> UInt8? {
    let byte = try bytes.next()
    if byte == UInt8(ascii: "\n") { line += 1 }
    return byte
  }

  private mutating func skipSpace() throws(DataError) {
    while let byte = try bytes.peek(), Self.isSpace(byte) { _ = try next() }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

  private mutating func checkEnd() throws(DataError) {
    try skipSpace()
    guard try bytes.peek() == nil else {
      throw DataError(
        file: path, line: line, reason: "not JSON: something stands after the end of the list",
        remedy: "a file has one list, or one row a line")
    }
  }
}
