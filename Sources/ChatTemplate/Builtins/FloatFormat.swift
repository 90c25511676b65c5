#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Floats with a chosen number of digits, rounded as C's `printf` does: exactly, half to even.
enum FloatFormat {
  static func fixed(_ value: Double, _ digits: Int) -> String { print(value, digits, "%.*f") }
  static func exponent(_ value: Double, _ digits: Int) -> String { print(value, digits, "%.*e") }
  static func general(_ value: Double, _ digits: Int) -> String { print(value, digits, "%.*g") }

  /// Digits after the point that a number may be asked for.
  static let mostDigits = 1000

  private static func print(_ value: Double, _ digits: Int, _ format: String) -> String {
    let digits = Int32(clamping: min(max(0, digits), mostDigits))
    return withVaList([digits, value]) { arguments in
      var buffer = [CChar](repeating: 0, count: Int(digits) + 400)
      let count = vsnprintf(&buffer, buffer.count, format, arguments)
      return String(decoding: buffer.prefix(max(0, Int(count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
}
