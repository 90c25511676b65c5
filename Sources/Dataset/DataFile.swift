import JSON

/// A file with one JSON object a line.
public struct JSONLFile: Sendable {
  /// One row, and where it stands.
  public struct Row: Sendable {
    /// 1-based.
    public let line: Int
    public let object: JSONObject
  }

  public let path: String

  public init(path: String) { self.path = path }

  /// Calls `body` with each row in order. A line of nothing but white space is passed over.
  ///
  /// - Throws: `DataError` if the file cannot be read, or a line is not UTF-8, not JSON or not an object, or if
  ///   there is no row at all; and what `body` throws.
  public func forEachRow(_ body: (Row) throws -> Void) throws {
    var reader = try LineReader(path: path)
    var rowCount = 0
    while try reader.next({ line, bytes in
      if bytes.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) { return }
      try body(row(line, bytes))
      rowCount += 1
    }) {}
    if rowCount == 0 {
      throw DataError(file: path, reason: "has no rows", remedy: #"give it one {"text": …} a line"#)
    }
  }

  private func row(_ line: Int, _ bytes: UnsafeRawBufferPointer) throws(DataError) -> Row {
    let value: JSONValue
    do {
      value = try JSONValue(parsing: bytes)
    } catch {
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
