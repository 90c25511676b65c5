import JSON

/// Reads CSV with a header (RFC 4180): fields in quotes may hold separators, line ends and doubled quotes. Every value
/// is a string.
struct TableReader {
  let bytes: [UInt8]
  let separator: UInt8
  let path: String

  private static let quote = UInt8(ascii: "\"")
  private static let newline = UInt8(ascii: "\n")
  private static let carriageReturn = UInt8(ascii: "\r")

  func forEachRow(_ body: (DataFile.Row) throws -> Void) throws {
    var place = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    var line = 1
    guard let header = try record(&place, &line) else { return }
    let names = header.map { $0.trimmed }
    if let twice = names.first(where: { name in names.filter { $0 == name }.count > 1 }) {
      throw DataError(file: path, line: 1, reason: "the header names \"\(twice)\" twice")
    }
    while place < bytes.count {
      let first = line
      guard let fields = try record(&place, &line) else { return }
      if fields.count == 1, fields[0].allSatisfy(\.isWhitespace) { continue }
      guard fields.count == names.count else {
        throw DataError(
          file: path, line: first, reason: "has \(fields.count) fields, but the header has \(names.count)",
          remedy: "put a field that holds the separator, a quote or a line end in quotes")
      }
      let members = zip(names, fields).map { JSONObject.Member(key: $0, value: .string($1)) }
      try body(DataFile.Row(line: first, object: JSONObject(members)))
    }
  }

  /// The fields up to the end of a line that is in no quotes; nil at the end of the file.
  private func record(_ place: inout Int, _ line: inout Int) throws(DataError) -> [String]? {
    guard place < bytes.count else { return nil }
    var fields: [String] = []
    while true {
      fields.append(try field(&place, &line))
      guard place < bytes.count else { return fields }
      let byte = bytes[place]
      place += 1
      if byte == separator { continue }
      if byte == Self.carriageReturn, place < bytes.count, bytes[place] == Self.newline { place += 1 }
      line += 1
      return fields
    }
  }

  /// One field; `place` is then at the separator or line end after it.
  private func field(_ place: inout Int, _ line: inout Int) throws(DataError) -> String {
    let first = line
    var value: [UInt8] = []
    if place < bytes.count, bytes[place] == Self.quote {
      place += 1
      while true {
        guard place < bytes.count else {
          throw DataError(file: path, line: first, reason: "a quote that opens a field is not closed")
        }
        let byte = bytes[place]
        place += 1
        if byte == Self.quote {
          guard place < bytes.count, bytes[place] == Self.quote else { break }
          place += 1
        } else if byte == Self.newline {
          line += 1
        }
        value.append(byte)
      }
    }
    while place < bytes.count, bytes[place] != separator, bytes[place] != Self.newline,
      bytes[place] != Self.carriageReturn
    {
      value.append(bytes[place])
      place += 1
    }
    guard let text = String(validating: value, as: UTF8.self) else {
      throw DataError(
        file: path, line: first, reason: "a field that is not UTF-8", remedy: "save it as UTF-8")
    }
    return text
  }
}

extension String {
  fileprivate var trimmed: String {
    var text = self[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
