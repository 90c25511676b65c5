/// Numbers in text, as Python's `int` and `float` read them.
enum PythonNumbers {
  static func stripped(_ text: String) -> Substring.UnicodeScalarView {
    var scalars = Substring(text).unicodeScalars
    while let first = scalars.first, PythonText.isSpace(first) { scalars.removeFirst() }
    while let last = scalars.last, PythonText.isSpace(last) { scalars.removeLast() }
    return scalars
  }

  /// Digits without the underscores that may stand between two of them; nil if one stands elsewhere.
  private static func withoutUnderscores(_ text: String) -> String? {
    guard text.utf8.contains(0x5F) else { return text }
    let bytes = Array(text.utf8)
    func isDigit(_ place: Int) -> Bool {
      bytes.indices.contains(place) && Character(Unicode.Scalar(bytes[place])).isHexDigit
    }
    for (i, byte) in bytes.enumerated() where byte == 0x5F && !(isDigit(i - 1) && isDigit(i + 1)) {
      return nil
    }
    return String(decoding: bytes.filter { $0 != 0x5F }, as: UTF8.self)
  }

  /// Nil if the text is no integer in this base.
  static func int(_ text: String, base: Int) throws(Failure) -> Value? {
    guard base == 0 || (2...36).contains(base) else { throw Failure("int() base must be 2 to 36, or 0") }
    var digits = String(stripped(text))
    let isNegative = digits.hasPrefix("-")
    if isNegative || digits.hasPrefix("+") { digits.removeFirst() }
    var base = base
    let prefixes = ["0x": 16, "0o": 8, "0b": 2]
    if let prefixed = prefixes[digits.prefix(2).lowercased()], base == prefixed || base == 0 {
      base = prefixed
      digits.removeFirst(2)
      if digits.hasPrefix("_") { digits.removeFirst() }
    } else if base == 0 {
      guard !digits.hasPrefix("0") || digits.allSatisfy({ $0 == "0" || $0 == "_" }) else { return nil }
      base = 10
    }
    guard let plain = withoutUnderscores(digits), !plain.isEmpty,
      plain.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isLetter || (0x30...0x39).contains($0) })
    else { return nil }
    if let value = Int((isNegative ? "-" : "") + plain, radix: base) { return .int(value) }
    guard plain.utf8.allSatisfy({ (0x30...0x39).contains($0) }), base == 10 else { return nil }
    let significant = plain.drop { $0 == "0" }
    return .bigInteger((isNegative ? "-" : "") + significant)
  }

  /// Nil if the text is no number.
  static func float(_ text: String) -> Double? {
    guard let plain = withoutUnderscores(String(stripped(text))), !plain.isEmpty else { return nil }
    let lower = plain.lowercased()
    let unsigned = lower.first == "-" || lower.first == "+" ? String(lower.dropFirst()) : lower
    if ["inf", "infinity", "nan"].contains(unsigned) {
      let value: Double = unsigned == "nan" ? .nan : .infinity
      return lower.hasPrefix("-") ? -value : value
    }
    guard unsigned.utf8.allSatisfy({ "0123456789.e+-".utf8.contains($0) }) else { return nil }
    var digits = unsigned
    if digits.hasPrefix(".") { digits = "0" + digits }
    if let point = digits.firstIndex(of: "."),
      digits[digits.index(after: point)...].first.map({ $0 == "e" }) ?? true
    {
      digits.remove(at: point)
    }
    guard digits.first?.isNumber == true else { return nil }
    guard let value = Double(digits) else { return nil }
    return lower.hasPrefix("-") ? -value : value
  }

  static func powerOfTen(_ exponent: Int) -> Double { Double("1e\(exponent)") ?? .infinity }

  /// Round half to even in decimal, as Python's `round` does: by the exact digits of the number.
  static func round(_ number: Double, _ precision: Int) -> Double {
    guard number.isFinite, precision <= 308 else { return number }
    if precision < -308 { return Double(signOf: number, magnitudeOf: 0) }
    if precision <= 0 {
      let scale = powerOfTen(-precision)
      return (number / scale).rounded(.toNearestOrEven) * scale
    }
    return Double(FloatFormat.fixed(number, precision)) ?? number
  }
}
