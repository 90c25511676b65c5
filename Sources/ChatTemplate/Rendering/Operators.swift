/// Operators on values of any type.
enum Operators {
  static func apply(
    _ binary: Expression.Binary, _ a: Value, _ b: Value, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    if case .string(let format) = a, binary == .modulo {
      return try renderer.made(try PercentFormat.apply(format, b, &renderer))
    }
    if let result = try Markup.apply(binary, a, b, &renderer) { return result }
    switch (a, b) {
    case (.undefined(let undefined), _), (_, .undefined(let undefined)): throw undefined.failure
    case (.bigInteger, _), (_, .bigInteger): throw Number.tooLarge
    default: break
    }
    if let x = Number(a), let y = Number(b) { return try Number.apply(binary, x, y).value }
    switch (binary, a, b) {
    case (.add, .string(let x), .string(let y)): return try renderer.made(x + y)
    case (.add, .list(let x), .list(let y)): return try renderer.made(x.values + y.values)
    case (.add, .tuple(let x), .tuple(let y)): return try .tuple(x.values + y.values)
    case (.multiply, _, _):
      if let count = b.index, let result = try repeated(a, count, &renderer) { return result }
      if let count = a.index, let result = try repeated(b, count, &renderer) { return result }
    default: break
    }
    throw Failure("unsupported operand types for \(binary.rawValue): '\(a.type)' and '\(b.type)'")
  }

  /// A string or list several times; nil for another value.
  private static func repeated(
    _ value: Value, _ count: Int, _ renderer: inout Renderer
  ) throws(Failure) -> Value? {
    func total(_ one: Int) -> Int {
      let (product, overflow) = one.multipliedReportingOverflow(by: max(0, count))
      return overflow ? .max : product
    }
    switch value {
    case .string(let text):
      try renderer.budget.allocate(bytes: total(text.utf8.count))
      return .string(text.isEmpty ? "" : String(repeating: text, count: max(0, count)))
    case .list(let items), .tuple(let items):
      try renderer.budget.allocate(items: total(items.values.count))
      let values = items.values.isEmpty ? [] : (0..<max(0, count)).flatMap { _ in items.values }
      if case .list = value { return try .list(values) }
      return try .tuple(values)
    default: return nil
    }
  }

  static func negative(_ value: Value) throws(Failure) -> Value {
    switch value {
    case .undefined(let undefined): throw undefined.failure
    case .bigInteger(let digits):
      return .bigInteger(digits.hasPrefix("-") ? String(digits.dropFirst()) : "-" + digits)
    case .float(let number): return .float(-number)
    default:
      guard let number = value.index else { throw Failure("bad operand type for unary -: '\(value.type)'") }
      return try Number.apply(.subtract, .int(0), .int(number)).value
    }
  }

  static func positive(_ value: Value) throws(Failure) -> Value {
    switch value {
    case .undefined(let undefined): throw undefined.failure
    case .bigInteger, .float: return value
    default:
      guard let number = value.index else { throw Failure("bad operand type for unary +: '\(value.type)'") }
      return .int(number)
    }
  }

  static func compare(
    _ comparison: Expression.Comparison, _ a: Value, _ b: Value, _ renderer: inout Renderer
  ) throws(Failure) -> Bool {
    try renderer.budget.spend(min(a.weight, b.weight))
    if case .string(let text) = a { try renderer.budget.spend(text: text) }
    switch comparison {
    case .equal: return Comparison.equal(a, b)
    case .notEqual: return !Comparison.equal(a, b)
    case .isIn: return try Comparison.contains(b, a, &renderer)
    case .isNotIn: return try !Comparison.contains(b, a, &renderer)
    case .less: return try Comparison.order(a, b, sign: "<").map { $0 < 0 } ?? false
    case .lessOrEqual: return try Comparison.order(a, b, sign: "<=").map { $0 <= 0 } ?? false
    case .greater: return try Comparison.order(a, b, sign: ">").map { $0 > 0 } ?? false
    case .greaterOrEqual: return try Comparison.order(a, b, sign: ">=").map { $0 >= 0 } ?? false
    }
  }
}
