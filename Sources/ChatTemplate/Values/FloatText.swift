/// Floats as Python's `repr` shows them: the shortest digits that read back to the same bits, with an exponent where
/// that is below -4 or above 15.
enum FloatText {
  static func repr(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    let (digits, exponent) = shortest(value.magnitude)
    let sign = value.sign == .minus ? "-" : ""
    if exponent < -4 || exponent >= 16 { return sign + scientific(digits, exponent) }
    if exponent < 0 { return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits }
    if digits.count <= exponent + 1 {
      return sign + digits + String(repeating: "0", count: exponent + 1 - digits.count) + ".0"
    }
    return sign + digits.prefix(exponent + 1) + "." + digits.dropFirst(exponent + 1)
  }

  /// `d.ddde+xx`.
  static func scientific(_ digits: String, _ exponent: Int) -> String {
    let power = String(exponent.magnitude)
    return digits.prefix(1) + (digits.count > 1 ? "." + digits.dropFirst() : "")
      + (exponent < 0 ? "e-" : "e+")
      + (power.count < 2 ? "0" + power : power)
  }

  /// The digits of a finite number without zeros at either end, and the power of ten of the first.
  private static func shortest(_ value: Double) -> (digits: String, exponent: Int) {
    guard value != 0 else { return ("0", 0) }
    let parts = value.description.split(separator: "e")
    let number = parts[0].split(separator: ".")
    let whole = String(number[0])
    let fraction = number.count > 1 ? String(number[1]) : ""
    var digits = Substring(whole + fraction)
    var exponent = whole.count - 1 + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
    while digits.first == "0" {
      digits.removeFirst()
      exponent -= 1
    }
    while digits.count > 1, digits.last == "0" { digits.removeLast() }
    return (String(digits), exponent)
  }
}
