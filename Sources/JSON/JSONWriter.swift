extension JSONValue {
  /// The text of this value on one line, members in their order.
  public var text: String { String(decoding: bytes(), as: UTF8.self) }

  /// The UTF-8 text of this value. With `indent`, one member a line; short lists of numbers and strings stay on
  /// one line, so that a config file reads well.
  public func bytes(indent: Int? = nil) -> [UInt8] {
    var out: [UInt8] = []
    write(to: &out, indent: indent, level: 0)
    if indent != nil { out.append(0x0A) }
    return out
  }

  private func write(to out: inout [UInt8], indent: Int?, level: Int) {
    switch self {
    case .null: out.append(contentsOf: "null".utf8)
    case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
    case .number(let digits): out.append(contentsOf: digits.utf8)
    case .string(let value): Self.write(string: value, to: &out)
    case .array(let items):
      let broken = indent != nil && items.contains { $0.object != nil || $0.array != nil }
      Self.writeItems(items, "[", "]", to: &out, indent: broken ? indent : nil, level: level) { item, out in
        item.write(to: &out, indent: indent, level: level + 1)
      }
    case .object(let object):
      Self.writeItems(object.members, "{", "}", to: &out, indent: indent, level: level) { member, out in
        Self.write(string: member.key, to: &out)
        out.append(contentsOf: (indent == nil ? ":" : ": ").utf8)
        member.value.write(to: &out, indent: indent, level: level + 1)
      }
    }
  }

  private static func writeItems<Item>(
    _ items: [Item], _ open: UnicodeScalar, _ close: UnicodeScalar, to out: inout [UInt8], indent: Int?,
    level: Int, _ write: (Item, inout [UInt8]) -> Void
  ) {
    func breakLine(_ level: Int) {
      guard let indent, !items.isEmpty else { return }
      out.append(0x0A)
      out.append(contentsOf: repeatElement(0x20, count: indent * level))
    }
    out.append(UInt8(ascii: open))
    for (i, item) in items.enumerated() {
      if i > 0 { out.append(UInt8(ascii: ",")) }
      if i > 0, indent == nil, open == "[" { out.append(0x20) }
      breakLine(level + 1)
      write(item, &out)
    }
    breakLine(level)
    out.append(UInt8(ascii: close))
  }

  private static func write(string: String, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    var string = string
    string.withUTF8 { bytes in
      // What needs no escape, as nearly all does, goes out as it is.
      var start = 0
      for (index, byte) in bytes.enumerated()
      where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
        out.append(contentsOf: bytes[start..<index])
        write(escaped: byte, to: &out)
        start = index + 1
      }
      out.append(contentsOf: bytes[start...])
    }
    out.append(UInt8(ascii: "\""))
  }

  /// RFC 8259, 7.
  private static func write(escaped byte: UInt8, to out: inout [UInt8]) {
    func digit(_ value: UInt8) -> UInt8 {
      value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
    switch byte {
    case UInt8(ascii: "\""): out.append(contentsOf: "\\\"".utf8)
    case UInt8(ascii: "\\"): out.append(contentsOf: "\\\\".utf8)
    case 0x0A: out.append(contentsOf: "\\n".utf8)
    case 0x0D: out.append(contentsOf: "\\r".utf8)
    case 0x09: out.append(contentsOf: "\\t".utf8)
    default:
      out.append(contentsOf: "\\u00".utf8)
      out.append(digit(byte >> 4))
      out.append(digit(byte & 15))
    }
  }
}
