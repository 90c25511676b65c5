/// Values as Python's `str` and `repr` show them.
enum Representation {
  /// What `{{ … }}` prints.
  static func text(_ value: Value) throws(Failure) -> String {
    switch value {
    case .string(let text), .markup(let text): text
    case .undefined: ""
    default: try repr(value)
    }
  }

  static func repr(_ value: Value) throws(Failure) -> String {
    var out = ""
    try write(value, to: &out, level: 0)
    return out
  }

  private static func write(_ value: Value, to out: inout String, level: Int) throws(Failure) {
    guard level <= Limits.valueDepth, out.utf8.count <= Limits.text else {
      throw Failure("a value that is too large or too deep to be shown")
    }
    switch value {
    case .undefined: out += "Undefined"
    case .none: out += "None"
    case .bool(let flag): out += flag ? "True" : "False"
    case .int(let number): out += String(number)
    case .bigInteger(let digits): out += digits
    case .float(let number): out += FloatText.repr(number)
    case .string(let text): write(text, to: &out)
    case .markup(let text):
      out += "Markup("
      write(text, to: &out)
      out += ")"
    case .list(let items): try write(items.values, "[", "]", to: &out, level: level)
    case .tuple(let items):
      try write(items.values, "(", items.values.count == 1 ? ",)" : ")", to: &out, level: level)
    case .dict(let dict): try write(dict.keys, dict.values, to: &out, level: level)
    case .view(let view): try write(view, to: &out, level: level)
    case .range(let range):
      out += "range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))"
    case .namespace(let namespace):
      out += "<Namespace "
      try write(namespace.names.map { .string($0) }, namespace.values, to: &out, level: level)
      out += ">"
    case .generator, .loop, .function:
      throw Failure("a \(value.type) has no text; a filter such as '| list' or a call may be missing")
    }
  }

  private static func write(_ view: DictView, to out: inout String, level: Int) throws(Failure) {
    var items: [Value] = []
    for i in 0..<view.dict.count { items.append(try view.at(i)) }
    out += view.kind.rawValue + "("
    try write(items, "[", "]", to: &out, level: level)
    out += ")"
  }

  private static func write(
    _ items: [Value], _ open: String, _ close: String, to out: inout String, level: Int
  ) throws(Failure) {
    out += open
    for (i, item) in items.enumerated() {
      if i > 0 { out += ", " }
      try write(item, to: &out, level: level + 1)
    }
    out += close
  }

  private static func write(
    _ keys: [Value], _ values: [Value], to out: inout String, level: Int
  ) throws(Failure) {
    out += "{"
    for i in keys.indices {
      if i > 0 { out += ", " }
      try write(keys[i], to: &out, level: level + 1)
      out += ": "
      try write(values[i], to: &out, level: level + 1)
    }
    out += "}"
  }

  private static func write(_ text: String, to out: inout String) {
    let quote: Unicode.Scalar = text.utf8.contains(0x27) && !text.utf8.contains(0x22) ? "\"" : "'"
    out.unicodeScalars.append(quote)
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case quote: out += "\\" + String(quote)
      case _ where PythonText.isPrintable(scalar): out.unicodeScalars.append(scalar)
      default: out += escape(scalar)
      }
    }
    out.unicodeScalars.append(quote)
  }

  private static func escape(_ scalar: Unicode.Scalar) -> String {
    let (letter, width) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
    let digits = String(scalar.value, radix: 16)
    return "\\" + letter + String(repeating: "0", count: width - digits.count) + digits
  }
}
