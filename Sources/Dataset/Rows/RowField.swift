import JSON
import LanguageModel

/// A key of data rows that says something of them beyond their text, such as a weight or a label.
package struct RowField {
  let key: String
  /// What its value must be, in words.
  let expected: String
  /// The key of the config that names it.
  let namedBy: String

  /// The value of each row of a set. Files are read again, since tokens are all that is kept of their rows.
  ///
  /// - Parameter read: nil for a value that cannot be used
  /// - Throws: `DataError` with file and line for the first row that lacks the key, or has another kind of value
  func values<Value>(of rows: RowSet, _ read: (JSONValue) -> Value?) throws -> [Value] {
    var values: [Value] = []
    values.reserveCapacity(rows.count)
    for part in rows.parts { values += try self.values(of: part, read) }
    return values
  }

  private func values<Value>(of part: RowSet.Part, _ read: (JSONValue) -> Value?) throws -> [Value] {
    guard !part.file.isEmpty else {
      throw DataError(file: "rows in memory", key: key, reason: "have no file that it could be read from")
    }
    var values: [Value] = []
    var place = part.range.lowerBound
    try DataFile(path: part.file).forEachRow { row in
      // A row that was split into several has its line in each of them.
      while place < part.range.upperBound, Int(part.table.entry(place).line) == row.line {
        values.append(try value(of: row, part.file, read))
        place += 1
      }
    }
    guard place == part.range.upperBound else {
      throw DataError(
        file: part.file, reason: "has changed since its rows were tokenized",
        remedy: "start again once nobody writes to it")
    }
    return values
  }

  private func value<Value>(
    of row: DataFile.Row, _ file: String, _ read: (JSONValue) -> Value?
  ) throws(DataError) -> Value {
    guard let found = row.object[key], !found.isNull else {
      throw DataError(
        file: file, line: row.line, key: key, reason: "is missing, and \(namedBy) goes by it",
        remedy: "give every row \(expected), or name another key in \(namedBy)")
    }
    guard let value = read(found) else {
      throw DataError(
        file: file, line: row.line, key: key,
        reason: "must be \(expected), not \(found.string.map { "\"\($0)\"" } ?? found.text)")
    }
    return value
  }
}

extension RowField {
  static func weights(of rows: RowSet, key: String) throws -> [Int] {
    let field = RowField(
      key: key, expected: "a whole number from 0 to \(Int32.max)", namedBy: "sampling_weight_field")
    return try field.values(of: rows) { value in
      // Tables have texts alone.
      let number = value.int ?? value.string.flatMap { Int($0) }
      return number.flatMap { (0...Int(Int32.max)).contains($0) ? $0 : nil }
    }
  }

  /// The number of each row's domain.
  package static func domains(of rows: RowSet, _ domains: Domains) throws -> [UInt8] {
    let numbers = Dictionary(uniqueKeysWithValues: zip(domains.names, UInt8(0)...UInt8.max))
    let known = domains.names.prefix(20).joined(separator: ", ") + (domains.names.count > 20 ? ", …" : "")
    let field = RowField(
      key: domains.field, expected: "one of adaptation_domains (\(known))",
      namedBy: "adaptation_domain_field")
    return try field.values(of: rows) { value in
      (value.string ?? (value.double != nil ? value.text : nil)).flatMap { numbers[$0] }
    }
  }

  package static func labels(of rows: RowSet, key: String, namedBy: String) throws -> [String] {
    let field = RowField(key: key, expected: "a text, a number, or true or false", namedBy: namedBy)
    return try field.values(of: rows) { value in
      if let text = value.string { return text }
      return value.double != nil || value.bool != nil ? value.text : nil
    }
  }
}
