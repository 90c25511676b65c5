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

  public let path: String

  public init(path: String) { self.path = path }

  /// Calls `body` with each row in order. A line of nothing but white space is passed over.
  ///
  /// - Throws: `DataError` if the file cannot be read, or a row is not UTF-8, not JSON or not an object, or if
  ///   there is no row at all; and what `body` throws.
  public func forEachRow(_ body: (Row) throws -> Void) throws {
    let source = try ByteSource(path: path)
    var rowCount = 0
    func take(_ row: Row) throws {
      try body(row)
      rowCount += 1
    }
    switch try DataFormat(start: source.start, path: path) {
    case .lines:
      var reader = LineReader(source: source)
      while try reader.next({ line, bytes in
        if bytes.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) { return }
        try take(row(line, bytes))
      }) {}
    case .list: try JSONListReader(bytes: source.all(), path: path).forEachElement { try take(row($0, $1)) }
    case .table(let separator):
      try TableReader(bytes: source.all(), separator: separator, path: path).forEachRow(take)
    }
    if rowCount == 0 {
      throw DataError(file: path, reason: "has no rows", remedy: #"give it one {"text": …} a line"#)
    }
  }

  private func row(_ line: Int, _ bytes: UnsafeRawBufferPointer) throws(DataError) -> Row {
    let value: JSONValue
    do {
      value = try JSONValue(parsing: bytes)
    } catch {
      let line = line + error.line - 1
      throw DataError(file: path, line: line, reason: "not JSON: \(error.reason) (column \(error.column))")
    }
    guard let object = value.object else {
      throw DataError(file: path, line: line, reason: "must be an object, not \(value.kind)")
    }
    return Row(line: line, object: object)
  }

  /// The `text` of a row.
  func text(of row: Row) throws(DataError) -> String {
    guard let value = row.object["text"] else {
      let others = row.object.members.prefix(5).map(\.key).joined(separator: ", ")
      throw DataError(
        file: path, line: row.line, key: "text",
        reason: "is missing" + (others.isEmpty ? "" : "; the row has \(others)"),
        remedy: #"a row is {"text": "…"}"#)
    }
    guard let text = value.string else {
      throw DataError(
        file: path, line: row.line, key: "text", reason: "must be a string, not \(value.kind)")
    }
    return text
  }
}
