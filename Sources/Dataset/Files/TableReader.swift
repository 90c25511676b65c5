import JSON

/// Reads CSV with a header (RFC 4180): fields in quotes may hold separators, line ends and doubled quotes. Every value
/// is a string. One record is in memory at a time.
struct TableReader: ~Copyable {
  private let path: String
  private let separator: UInt8
  private var bytes: ByteStream
  private var line = 1

  private static let quote = UInt8(ascii: "\"")
  private static let newline = UInt8(ascii: "\n")
  private static let carriageReturn = UInt8(ascii: "\r")

  init(source: ByteSource, separator: UInt8) {
    path = source.path
    self.separator = separator
    bytes = ByteStream(source)
  }

  mutating func forEachRow(_ body: (DataFile.Row) throws -> Void) throws {
    try bytes.skipByteOrderMark()
    guard let header = try record() else { return }
    let names = header.map { $0.trimmed }
    if let twice = names.first(where: { name in names.filter { $0 == name }.count > 1 }) {
      throw DataError(file: path, line: 1, reason: "the header names \"\(twice)\" twice")
    }
    while true {
      let first = line
      guard let fields = try record() else { return }
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
  private mutating func record() throws(DataError) -> [String]? {
    guard try bytes.peek() != nil else { return nil }
    var fields: [String] = []
    while true {
      fields.append(try field())
      guard let byte = try bytes.next() else { return fields }
      if byte == separator { continue }
      if byte == Self.carriageReturn, try bytes.peek() == Self.newline { _ = try bytes.next() }
      line += 1
      return fields
    }
  }

  /// One field; the separator or line end after it comes next.
  private mutating func field() throws(DataError) -> String {
    let first = line
    var value: [UInt8] = []
    if try bytes.peek() == Self.quote {
      _ = try bytes.next()
      while true {
        guard let byte = try bytes.next() else {
          throw DataError(file: path, line: first, reason: "a quote that opens a field is not closed")
        }
        if byte == Self.quote {
          guard try bytes.peek() == Self.quote else { break }
          _ = try bytes.next()
        } else if byte == Self.newline {
          line += 1
        }
        value.append(byte)
        try checkLength(value.count, line: first)
      }
    }
    while let byte = try bytes.peek(), byte != separator, byte != Self.newline, byte != Self.carriageReturn {
      value.append(byte)
      try checkLength(value.count, line: first)
      _ = try bytes.next()
    }
    guard let text = String(validating: value, as: UTF8.self) else {
      throw DataError(
        file: path, line: first, reason: "a field that is not UTF-8", remedy: "save it as UTF-8")
    }
    return text
  }

  private func checkLength(_ length: Int, line: Int) throws(DataError) {
    guard length <= LineReader.maximumLineLength else {
      throw DataError(
        file: path, line: line, reason: "a field of more than \(LineReader.maximumLineLength) bytes",
        remedy: "see whether a quote that opens a field is closed")
    }
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
