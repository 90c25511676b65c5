/// How one value is formatted: Python's format specification `[[fill]align][sign][#][0][width][,][.precision][type]`.
struct FormatSpec {
  var fill: Unicode.Scalar = " "
  /// `<`, `>`, `^` or `=`; nil for the type's own.
  var align: Unicode.Scalar?
  var sign: Unicode.Scalar?
  var isAlternate = false
  var isZeroPadded = false
  var width = 0
  /// What stands between groups of digits.
  var grouping: Unicode.Scalar?
  var precision: Int?
  /// Zeros are put before an integer with fewer digits.
  var leastDigits = 0
  var type: Unicode.Scalar?

  init() {}

  init(parsing text: String) throws(Failure) {
    var rest = Array(text.unicodeScalars)[...]
    let aligns: [Unicode.Scalar] = ["<", ">", "^", "="]
    if rest.count > 1, aligns.contains(rest[rest.startIndex + 1]) {
      fill = rest.removeFirst()
      align = rest.removeFirst()
    } else if let first = rest.first, aligns.contains(first) {
      align = rest.removeFirst()
    }
    if let first = rest.first, ["+", "-", " "].contains(first) { sign = rest.removeFirst() }
    if rest.first == "#" {
      isAlternate = true
      rest.removeFirst()
    }
    if rest.first == "0" {
      isZeroPadded = true
      rest.removeFirst()
    }
    width = Self.digits(&rest) ?? 0
    if let first = rest.first, first == "," || first == "_" { grouping = rest.removeFirst() }
    if rest.first == "." {
      rest.removeFirst()
      guard let digits = Self.digits(&rest) else { throw Failure("Format specifier missing precision") }
      precision = digits
    }
    type = rest.popFirst()
    guard rest.isEmpty else { throw Failure("Invalid format specifier '\(text)'") }
  }

  private static func digits(_ rest: inout ArraySlice<Unicode.Scalar>) -> Int? {
    var value: Int?
    while let digit = rest.first, ("0"..."9").contains(digit) {
      rest.removeFirst()
      value = min((value ?? 0) * 10 + Int(digit.value - 0x30), Limits.text + 1)
    }
    return value
  }

  private func padded(
    _ text: String, _ align: Unicode.Scalar, _ fill: Unicode.Scalar, _ budget: inout Budget
  ) throws(Failure) -> String {
    let missing = width - PythonText.count(text)
    guard missing > 0 else { return text }
    try budget.allocate(bytes: missing < Limits.text ? 4 * missing : .max)
    let left = align == "<" ? 0 : align == "^" ? missing / 2 : missing
    return String(repeating: String(fill), count: left) + text
      + String(repeating: String(fill), count: missing - left)
  }

  /// A string, cut to the precision.
  func text(_ text: String, _ budget: inout Budget) throws(Failure) -> String {
    guard type == nil || type == "s" || type == "c" else {
      throw Failure("Unknown format code '\(type!)' for object of type 'str'")
    }
    guard sign == nil else { throw Failure("Sign not allowed in string format specifier") }
    guard align != "=" else { throw Failure("'=' alignment not allowed in string format specifier") }
    guard grouping == nil else { throw Failure("Cannot specify '\(grouping!)' with 's'.") }
    let cut = precision.map { PythonText.string(text.unicodeScalars.prefix($0)) } ?? text
    return try padded(cut, align ?? "<", isZeroPadded && align == nil ? "0" : fill, &budget)
  }

  func number(_ number: Number, _ budget: inout Budget) throws(Failure) -> String {
    let (isNegative, prefix, body) = try parts(of: number)
    let shownSign = isNegative ? "-" : sign == "+" ? "+" : sign == " " ? " " : ""
    let pads = isZeroPadded && align == nil
    var digits = grouped(body)
    if pads || align == "=" {
      let filler = pads && fill == " " ? "0" : fill
      let missing = width - PythonText.count(shownSign + prefix + digits)
      if missing > 0 {
        try budget.allocate(bytes: missing < Limits.text ? 4 * missing : .max)
        digits = String(repeating: String(filler), count: missing) + digits
      }
      return shownSign + prefix + digits
    }
    return try padded(shownSign + prefix + digits, align ?? ">", fill, &budget)
  }

  private func parts(of number: Number) throws(Failure) -> (isNegative: Bool, prefix: String, body: String) {
    if case .int(let whole) = number, let digits = try integer(whole) {
      return (whole < 0, digits.prefix, digits.body)
    }
    let value = number.double
    return (value.sign == .minus && !value.isNaN, "", try float(value.magnitude, isInteger: false))
  }

  /// Nil if the type is one for floats.
  private func integer(_ whole: Int) throws(Failure) -> (prefix: String, body: String)? {
    let radixes: [Unicode.Scalar: (radix: Int, prefix: String)] = [
      "x": (16, "0x"), "X": (16, "0X"), "o": (8, "0o"), "b": (2, "0b"),
    ]
    if let type, let (radix, prefix) = radixes[type] {
      return (isAlternate ? prefix : "", zeros(String(whole.magnitude, radix: radix, uppercase: type == "X")))
    }
    switch type {
    case nil, "d", "n":
      guard precision == nil else { throw Failure("Precision not allowed in integer format specifier") }
      return ("", zeros(String(whole.magnitude)))
    case "c":
      guard let value = UInt32(exactly: whole), let scalar = Unicode.Scalar(value) else {
        throw Failure("%c arg not in range")
      }
      return ("", String(scalar))
    case "e", "E", "f", "F", "g", "G", "%": return nil
    default: throw Failure("Unknown format code '\(type!)' for object of type 'int'")
    }
  }

  private func zeros(_ digits: String) -> String {
    String(repeating: "0", count: max(0, min(leastDigits, FloatFormat.mostDigits) - digits.utf8.count))
      + digits
  }

  private func float(_ value: Double, isInteger: Bool) throws(Failure) -> String {
    if value.isNaN || value.isInfinite {
      let word = value.isNaN ? "nan" : "inf"
      return (type == "E" || type == "F" || type == "G" ? word.uppercased() : word) + (type == "%" ? "%" : "")
    }
    switch type {
    case "f", "F": return FloatFormat.fixed(value, precision ?? 6)
    case "e": return FloatFormat.exponent(value, precision ?? 6)
    case "E": return FloatFormat.exponent(value, precision ?? 6).uppercased()
    case "g": return FloatFormat.general(value, precision ?? 6)
    case "G": return FloatFormat.general(value, precision ?? 6).uppercased()
    case "%": return FloatFormat.fixed(value * 100, precision ?? 6) + "%"
    case nil:
      guard let precision else { return FloatText.repr(value) }
      return general(value, precision)
    default: throw Failure("Unknown format code '\(type!)' for object of type 'float'")
    }
  }

  /// Without a type: as `g`, with at least one digit after the point.
  private func general(_ value: Double, _ precision: Int) -> String {
    let precision = max(1, precision)
    let text = FloatFormat.general(value, precision)
    let exponent =
      FloatFormat.exponent(value, precision - 1).split(separator: "e").last.flatMap { Int($0) } ?? 0
    if exponent == precision - 1, !text.contains("e"), precision > 1 || exponent >= 1 {
      let parts = FloatFormat.exponent(value, precision - 1).split(separator: "e")
      let digits = parts[0].filter { $0 != "." }.reversed().drop { $0 == "0" }.reversed()
      return FloatText.scientific(digits.isEmpty ? "0" : String(digits), exponent)
    }
    return text.contains(".") || text.contains("e") ? text : text + ".0"
  }

  private func grouped(_ body: String) -> String {
    guard let grouping else { return body }
    let whole = body.prefix { $0.isHexDigit && $0 != "e" }
    let size = type == "x" || type == "X" || type == "o" || type == "b" ? 4 : 3
    var result = ""
    for (i, digit) in whole.enumerated() {
      if i > 0, (whole.count - i) % size == 0 { result.unicodeScalars.append(grouping) }
      result.append(digit)
    }
    return result + body.dropFirst(whole.count)
  }
}
