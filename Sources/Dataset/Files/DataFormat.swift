/// How rows lie in a file.
enum DataFormat: Equatable {
  /// One JSON object a line.
  case lines
  /// One JSON list.
  case list
  /// A header and records, as RFC 4180 has them.
  case table(separator: UInt8)

  private static let comma = UInt8(ascii: ",")
  private static let tab = UInt8(ascii: "\t")

  /// - Parameter start: the first bytes of the file, decompressed.
  /// - Throws: `DataError` that names what the file is, if it is something that is not read.
  init(start: [UInt8], path: String) throws(DataError) {
    if let other = OtherFormat(start: start) {
      throw DataError(file: path, reason: "is \(other.name)", remedy: other.remedy)
    }
    let text = start.starts(with: [0xEF, 0xBB, 0xBF]) ? start[3...] : start[...]
    let first = text.first { $0 != 0x20 && !(0x09...0x0D).contains($0) }
    let name = path.lowercased().hasSuffix(".gz") ? String(path.lowercased().dropLast(3)) : path.lowercased()
    if name.hasSuffix(".tsv") {
      self = .table(separator: Self.tab)
    } else if first == UInt8(ascii: "[") {
      // A line that is a list by itself is a row that is wrong, and is named as such.
      self = Self.beginsAList(text) ? .list : .lines
    } else if name.hasSuffix(".csv") || (first != nil && first != UInt8(ascii: "{")) {
      let separator = Self.separator(of: text)
      guard name.hasSuffix(".csv") || separator != nil else {
        self = .lines
        return
      }
      self = .table(separator: separator ?? Self.comma)
    } else {
      self = .lines
    }
  }

  /// What a file's name says of its format, which its bytes may not.
  static func kindByName(of path: String) -> String {
    let name = path.lowercased().hasSuffix(".gz") ? String(path.lowercased().dropLast(3)) : path.lowercased()
    return name.hasSuffix(".tsv") ? "tsv" : name.hasSuffix(".csv") ? "csv" : ""
  }

  /// Whether the list's first element is an object, or the list is empty.
  private static func beginsAList(_ text: ArraySlice<UInt8>) -> Bool {
    let rest = text.drop { $0 != UInt8(ascii: "[") }.dropFirst()
    let next = rest.first { $0 != 0x20 && !(0x09...0x0D).contains($0) }
    return next == nil || next == UInt8(ascii: "{") || next == UInt8(ascii: "]")
  }

  /// What separates the fields of a header that has a key of rows; nil if the first line is none.
  private static func separator(of text: ArraySlice<UInt8>) -> UInt8? {
    let line = text.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    return [comma, tab, UInt8(ascii: ";")].first { separator in
      line.split(separator: separator, omittingEmptySubsequences: false).contains { field in
        RowKind.tableKeys.contains(String(String(decoding: field, as: UTF8.self).trimmedField))
      }
    }
  }
}

extension String {
  /// Without white space and quotes around it.
  fileprivate var trimmedField: Substring {
    var field = self[...]
    while let first = field.first, first.isWhitespace || first == "\"" { field.removeFirst() }
    while let last = field.last, last.isWhitespace || last == "\"" { field.removeLast() }
    return field
  }
}

/// A kind of file that is known by its first bytes and not read.
public struct OtherFormat: Sendable {
  public let name: String
  public let remedy: String

  private static let magic: [(bytes: [UInt8], name: String)] = [
    (Array("PAR1".utf8), "a Parquet file"), ([0x28, 0xB5, 0x2F, 0xFD], "compressed by zstd"),
    (Array("PK\u{3}\u{4}".utf8), "a zip file"), ([0xFD, 0x37, 0x7A, 0x58, 0x5A], "compressed by xz"),
    (Array("BZh".utf8), "compressed by bzip2"), (Array("ARROW1".utf8), "an Arrow file"),
  ]

  /// nil if the bytes may be text in UTF-8.
  public init?(start: [UInt8]) {
    if let known = Self.magic.first(where: { start.starts(with: $0.bytes) }) {
      name = known.name
      remedy = "give JSONL, a JSON list or CSV; gzip is read"
      return
    }
    guard Self.isUTF16(start) else { return nil }
    name = "text in UTF-16"
    remedy = "save it as UTF-8"
  }

  /// By its mark, or by its zeros: ASCII has one in every second byte.
  private static func isUTF16(_ start: [UInt8]) -> Bool {
    if start.starts(with: [0xFF, 0xFE]) || start.starts(with: [0xFE, 0xFF]) { return true }
    guard start.count >= 4 else { return false }
    let pairs = stride(from: 0, to: min(start.count, 64) - 1, by: 2)
    return pairs.allSatisfy { start[$0] == 0 && start[$0 + 1] != 0 }
      || pairs.allSatisfy { start[$0] != 0 && start[$0 + 1] == 0 }
  }
}
