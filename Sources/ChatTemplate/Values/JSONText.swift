/// Values as Python's `json.dumps` writes them.
struct JSONText {
  var ensureASCII = false
  /// What one level is indented by; nil for all on one line.
  var indent: String?
  var itemSeparator = ", "
  var keySeparator = ": "
  var sortsKeys = false
  private var out = ""

  init() {}

  mutating func text(of value: Value) throws(Failure) -> String {
    out = ""
    try write(value, level: 0)
    return out
  }

  private mutating func write(_ value: Value, level: Int) throws(Failure) {
    guard level <= Limits.valueDepth, out.utf8.count <= Limits.text else {
      throw Failure("a value that is too large or too deep for JSON")
    }
    switch value {
    case .none: out += "null"
    case .bool(let flag): out += flag ? "true" : "false"
    case .int(let number): out += String(number)
    case .bigInteger(let digits): out += digits
    case .float(let number): out += Self.float(number)
    case .string(let text), .markup(let text): write(text)
    case .list(let items), .tuple(let items): try write(items.values, level: level)
    case .dict(let dict): try write(dict, level: level)
    default: throw Failure("Object of type \(value.type) is not JSON serializable")
    }
  }

  private static func float(_ number: Double) -> String {
    number.isFinite ? FloatText.repr(number) : number.isNaN ? "NaN" : number < 0 ? "-Infinity" : "Infinity"
  }

  private mutating func breakLine(_ level: Int) {
    guard let indent else { return }
    out += "\n"
    for _ in 0..<level { out += indent }
  }

  private mutating func write(_ items: [Value], level: Int) throws(Failure) {
    if items.isEmpty {
      out += "[]"
      return
    }
    out += "["
    for (i, item) in items.enumerated() {
      if i > 0 { out += itemSeparator }
      breakLine(level + 1)
      try write(item, level: level + 1)
    }
    breakLine(level)
    out += "]"
  }

  private mutating func write(_ dict: Dict, level: Int) throws(Failure) {
    if dict.count == 0 {
      out += "{}"
      return
    }
    var places = Array(0..<dict.count)
    if sortsKeys {
      places = try Sorting.sorted(places) { (a, b) throws(Failure) in
        try Comparison.less(dict.keys[a], dict.keys[b])
      }
    }
    out += "{"
    for (i, place) in places.enumerated() {
      if i > 0 { out += itemSeparator }
      breakLine(level + 1)
      write(try Self.key(dict.keys[place]))
      out += keySeparator
      try write(dict.values[place], level: level + 1)
    }
    breakLine(level)
    out += "}"
  }

  private static func key(_ value: Value) throws(Failure) -> String {
    switch value {
    case .string(let text), .markup(let text): return text
    case .none: return "null"
    case .bool(let flag): return flag ? "true" : "false"
    case .int(let number): return String(number)
    case .bigInteger(let digits): return digits
    case .float(let number): return float(number)
    default: throw Failure("keys must be str, int, float, bool or None, not \(value.type)")
    }
  }

  private mutating func write(_ text: String) {
    out += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\u{8}": out += "\\b"
      case "\u{C}": out += "\\f"
      case _ where scalar.value < 0x20: out += Self.escape(UInt16(scalar.value))
      case _ where ensureASCII && !(scalar.value < 0x80):
        for unit in String(scalar).utf16 { out += Self.escape(unit) }
      default: out.unicodeScalars.append(scalar)
      }
    }
    out += "\""
  }

  private static func escape(_ unit: UInt16) -> String {
    let digits = String(unit, radix: 16)
    return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
  }
}
