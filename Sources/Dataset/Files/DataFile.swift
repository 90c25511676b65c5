import JSON

/// A file of rows: JSONL (one object a line), one JSON list of objects, or CSV with a header, each perhaps compressed by
/// gzip. Which of them it is, its first bytes say; CSV is known by its ending, or by a header that has a `text`.
public struct DataFile: Sendable {
  /// One row, and where it stands.
  public struct Row: Sendable {
    /// 1-based; that where the row begins.
    public let line: Int
    public let object: JSONObject
  }

  /// One row as it stands in the file.
  enum Record: Sendable {
    case json(line: Int, [UInt8])
    case row(Row)

    var line: Int {
      switch self {
      case .json(let line, _): line
      case .row(let row): row.line
      }
    }

    /// Bytes that it takes, roughly.
    var size: Int {
      switch self {
      case .json(_, let bytes): bytes.count
      case .row(let row): row.object.members.reduce(0) { $0 + ($1.value.string?.utf8.count ?? 8) }
      }
    }
  }

  public let path: String

  public init(path: String) { self.path = path }

  /// Calls `body` with each row in order. A line of nothing but white space is passed over.
  ///
  /// - Throws: `DataError` if the file cannot be read, or a row is not UTF-8, not JSON or not an object, or if
  ///   there is no row at all; and what `body` throws.
  public func forEachRow(_ body: (Row) throws -> Void) throws {
    try forEachRecord { record, _ in try body(row(of: record)) }
  }

  /// Calls `body` with each row, and the number of bytes of the file that have been read.
  func forEachRecord(_ body: (Record, _ bytesRead: Int) throws -> Void) throws {
    let source = try ByteSource(path: path)
    var isEmpty = true
    func take(_ record: Record) throws {
      isEmpty = false
      try body(record, source.storedBytesRead)
    }
    switch try DataFormat(start: source.start, path: path) {
    case .lines:
      var reader = LineReader(source: source)
      while try reader.next({ line, bytes in
        if bytes.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) { return }
        try take(.json(line: line, Array(bytes)))
      }) {}
    case .list:
      var reader = JSONListReader(source: source)
      try reader.forEachElement { try take(.json(line: $0, Array($1))) }
    case .table(let separator):
      var reader = TableReader(source: source, separator: separator)
      try reader.forEachRow { try take(.row($0)) }
    }
    if isEmpty {
      throw DataError(file: path, reason: "has no rows", remedy: #"give it one {"text": …} a line"#)
    }
  }

  /// Reads a row.
  func row(of record: Record) throws(DataError) -> Row {
    switch record {
    case .row(let row): row
    case .json(let line, let bytes): try row(line, bytes)
    }
  }

  private func row(_ line: Int, _ bytes: [UInt8]) throws(DataError) -> Row {
    let value: JSONValue
    do {
      let result = bytes.withUnsafeBytes { bytes in
        Result { () throws(JSONError) in try JSONValue(parsing: bytes) }
      }
      value = try result.get()
    } catch {
      let line = line + error.line - 1
      throw DataError(file: path, line: line, reason: "not JSON: \(error.reason) (column \(error.column))")
    }
    guard let object = value.object else {
      throw DataError(file: path, line: line, reason: "must be an object, not \(value.kind)")
    }
    return Row(line: line, object: object)
  }
}
