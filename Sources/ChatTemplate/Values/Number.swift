#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A number, with Python's arithmetic: true and false are 1 and 0, division and remainder round down.
enum Number {
  case int(Int)
  case float(Double)

  init?(_ value: Value) {
    switch value {
    case .int(let number): self = .int(number)
    case .bool(let flag): self = .int(flag ? 1 : 0)
    case .float(let number): self = .float(number)
    case .bigInteger(let digits): self = .float(Double(digits) ?? .infinity)
    default: return nil
    }
  }

  var double: Double {
    switch self {
    case .int(let number): Double(number)
    case .float(let number): number
    }
  }

  var value: Value {
    switch self {
    case .int(let number): .int(number)
    case .float(let number): .float(number)
    }
  }

  /// Below, at or above zero; nil where one is not a number. Exact, where an integer has more bits than a float.
  static func order(_ a: Number, _ b: Number) -> Int? {
    switch (a, b) {
    case (.int(let x), .int(let y)): return x < y ? -1 : x == y ? 0 : 1
    case (.float(let x), .float(let y)):
      return x.isNaN || y.isNaN ? nil : x < y ? -1 : x == y ? 0 : 1
    case (.int, .float): return order(b, a).map { -$0 }
    case (.float(let x), .int(let y)):
      if x.isNaN { return nil }
      if x >= 0x1p63 { return 1 }
      if x < -0x1p63 { return -1 }
      let whole = Int(x.rounded(.down))
      return whole != y ? (whole < y ? -1 : 1) : x > Double(whole) ? 1 : 0
    }
  }

  static let tooLarge = Failure("an integer that needs more than 64 bits")

  private static func checked(_ result: (partialValue: Int, overflow: Bool)) throws(Failure) -> Number {
    guard !result.overflow else { throw tooLarge }
    return .int(result.partialValue)
  }

  static func apply(_ binary: Expression.Binary, _ a: Number, _ b: Number) throws(Failure) -> Number {
    switch (binary, a, b) {
    case (.add, .int(let x), .int(let y)): return try checked(x.addingReportingOverflow(y))
    case (.subtract, .int(let x), .int(let y)): return try checked(x.subtractingReportingOverflow(y))
    case (.multiply, .int(let x), .int(let y)): return try checked(x.multipliedReportingOverflow(by: y))
    case (.floorDivide, .int(let x), .int(let y)): return try floorDivide(x, y)
    case (.modulo, .int(let x), .int(let y)): return .int(try modulo(x, y))
    case (.power, .int(let x), .int(let y)) where y >= 0: return try power(x, y)
    case (.add, _, _): return .float(a.double + b.double)
    case (.subtract, _, _): return .float(a.double - b.double)
    case (.multiply, _, _): return .float(a.double * b.double)
    case (.divide, _, _):
      guard b.double != 0 else { throw Failure("division by zero") }
      return .float(a.double / b.double)
    case (.floorDivide, _, _): return .float(try floorDivide(a.double, b.double))
    case (.modulo, _, _): return .float(try modulo(a.double, b.double))
    case (.power, _, _):
      guard a.double != 0 || b.double >= 0 else { throw Failure("0.0 cannot be raised to a negative power") }
      return .float(pow(a.double, b.double))
    }
  }

  private static func floorDivide(_ x: Int, _ y: Int) throws(Failure) -> Number {
    guard y != 0 else { throw Failure("integer division or modulo by zero") }
    let (quotient, overflow) = x.dividedReportingOverflow(by: y)
    guard !overflow else { throw tooLarge }
    return .int(try modulo(x, y) != 0 && (x < 0) != (y < 0) ? quotient - 1 : quotient)
  }

  private static func modulo(_ x: Int, _ y: Int) throws(Failure) -> Int {
    guard y != 0 else { throw Failure("integer modulo by zero") }
    guard y != -1 else { return 0 }
    let rest = x % y
    return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest
  }

  private static func modulo(_ x: Double, _ y: Double) throws(Failure) -> Double {
    guard y != 0 else { throw Failure("float modulo") }
    let rest = fmod(x, y)
    if rest == 0 { return Double(signOf: y, magnitudeOf: 0) }
    return (rest < 0) != (y < 0) ? rest + y : rest
  }

  private static func floorDivide(_ x: Double, _ y: Double) throws(Failure) -> Double {
    guard y != 0 else { throw Failure("float floor division by zero") }
    var rest = fmod(x, y)
    var quotient = (x - rest) / y
    if rest != 0, (rest < 0) != (y < 0) {
      rest += y
      quotient -= 1
    }
    guard quotient != 0 else { return Double(signOf: x / y, magnitudeOf: 0) }
    let floor = quotient.rounded(.down)
    return quotient - floor > 0.5 ? floor + 1 : floor
  }

  private static func power(_ x: Int, _ y: Int) throws(Failure) -> Number {
    if x == 0 || x == 1 || y == 0 { return .int(y == 0 ? 1 : x) }
    if x == -1 { return .int(y % 2 == 0 ? 1 : -1) }
    var result = 1
    for _ in 0..<min(y, 64) {
      let (product, overflow) = result.multipliedReportingOverflow(by: x)
      guard !overflow else { throw tooLarge }
      result = product
    }
    guard y <= 64 else { throw tooLarge }
    return .int(result)
  }
}
