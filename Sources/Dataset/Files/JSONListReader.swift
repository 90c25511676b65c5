/// Cuts one JSON list into its elements, which may be indented over many lines.
struct JSONListReader {
  let bytes: [UInt8]
  let path: String

  /// Calls `body` with each element and the line where it begins. Elements are cut at the commas between them; whether
  /// they are JSON is for `body` to say.
  func forEachElement(_ body: (_ line: Int, UnsafeRawBufferPointer) throws -> Void) throws {
    var place = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    var line = 1
    skipSpace(&place, &line)
    place += 1
    skipSpace(&place, &line)
    if place < bytes.count, bytes[place] == UInt8(ascii: "]") {
      return try checkEnd(place + 1, line)
    }
    while true {
      skipSpace(&place, &line)
      let (begin, beginLine) = (place, line)
      guard let end = end(ofElementAt: &place, &line) else {
        throw DataError(
          file: path, line: line, reason: "not JSON: the list that begins in this file does not end",
          remedy: "close it with ], or give one row a line")
      }
      guard end > begin else {
        throw DataError(file: path, line: beginLine, reason: "not JSON: an element is missing")
      }
      try bytes.withUnsafeBytes { try body(beginLine, UnsafeRawBufferPointer(rebasing: $0[begin..<end])) }
      let closes = bytes[place] == UInt8(ascii: "]")
      place += 1
      if closes { return try checkEnd(place, line) }
    }
  }

  /// The end of an element; `place` is then at the comma or bracket after it. nil if the text ends before.
  private func end(ofElementAt place: inout Int, _ line: inout Int) -> Int? {
    var depth = 0
    var isInString = false
    var end = place
    while place < bytes.count {
      let byte = bytes[place]
      if isInString {
        if byte == UInt8(ascii: "\\") { place += 1 } else if byte == UInt8(ascii: "\"") { isInString = false }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"): depth -= 1
        case UInt8(ascii: "]"):
          if depth <= 0 { return end }
          depth -= 1
        case UInt8(ascii: ","): if depth <= 0 { return end }
        default: break
        }
      }
      if byte == UInt8(ascii: "\n") { line += 1 }
      if byte != 0x20 && !(0x09...0x0D).contains(byte) { end = min(place, bytes.count - 1) + 1 }
      place += 1
    }
    return nil
  }

  private func skipSpace(_ place: inout Int, _ line: inout Int) {
    while place < bytes.count, bytes[place] == 0x20 || (0x09...0x0D).contains(bytes[place]) {
      if bytes[place] == UInt8(ascii: "\n") { line += 1 }
      place += 1
    }
  }

  private func checkEnd(_ place: Int, _ line: Int) throws(DataError) {
    var (place, line) = (place, line)
    skipSpace(&place, &line)
    guard place >= bytes.count else {
      throw DataError(
        file: path, line: line, reason: "not JSON: something stands after the end of the list",
        remedy: "a file has one list, or one row a line")
    }
  }
}
