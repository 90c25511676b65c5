/// What can stand after `|`.
enum Filters {
  typealias Filter = @Sendable (Value, Arguments, inout Renderer) throws(Failure) -> Value

  static let names = Set(all.keys)

  static func apply(
    _ name: String, to value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    guard let filter = all[name] else { throw Failure("there is no filter '\(name)'") }
    try renderer.budget.spend()
    guard case .markup(let text) = value, name != "escape", name != "e" else {
      return try filter(value, arguments.plain, &renderer)
    }
    let result = try filter(.string(text), arguments.plain, &renderer)
    return Markup.keeping.contains(name) ? result.marked : result
  }

  private static let all: [String: Filter] = texts.merging(sequences) { a, _ in a }.merging(values) { a, _ in
    a
  }

  /// Filters on any value.
  private static let values: [String: Filter] = [
    "default": `default`, "d": `default`,
    "length": { (value, _, renderer) throws(Failure) in try count(value, &renderer) },
    "count": { (value, _, renderer) throws(Failure) in try count(value, &renderer) },
    "string": { (value, _, renderer) throws(Failure) in .string(try renderer.text(of: value)) },
    "tojson": tojson, "int": int, "float": float, "abs": abs, "round": round,
    "attr": { (value, arguments, renderer) throws(Failure) in
      let name = try arguments.bound("name", of: "attr", required: 1).text(0) ?? ""
      if case .dict = value { return Methods.method(name, of: value) ?? Renderer.missing(name, of: value) }
      return try renderer.attribute(name, of: value)
    },
  ]

  private static func `default`(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("default_value", "boolean", of: "default")
    return value.isUndefined || bound.flag(1) && !value.isTrue ? bound[0] ?? .emptyString : value
  }

  /// How many items a value has; nil if it cannot be counted without going through them.
  static func length(of value: Value) -> Int? {
    switch value {
    case .string(let text), .markup(let text): PythonText.count(text)
    case .list(let items), .tuple(let items): items.values.count
    case .dict(let dict): dict.count
    case .view(let view): view.dict.count
    case .range(let range): range.count
    case .undefined: 0
    default: nil
    }
  }

  private static func count(_ value: Value, _ renderer: inout Renderer) throws(Failure) -> Value {
    if case .string(let text) = value { try renderer.budget.spend(text: text) }
    if case .loop(let loop) = value { return .int(try loop.count(&renderer)) }
    guard let length = length(of: value) else { throw Failure("object of type '\(value.type)' has no len()") }
    return .int(length)
  }

  private static func tojson(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("ensure_ascii", "indent", "separators", "sort_keys", of: "tojson")
    var json = JSONText()
    json.ensureASCII = bound.flag(0)
    json.sortsKeys = bound.flag(3)
    switch bound[1] {
    case nil, .some(.none): break
    case .string(let indent): json.indent = indent
    default: json.indent = String(repeating: " ", count: min(max(0, try bound.int(1) ?? 0), 1000))
    }
    if json.indent != nil { json.itemSeparator = "," }
    if let separators = bound[2], !separators.isNone {
      guard case .some(.list(let items)) = Optional(separators).map(asList), items.values.count == 2,
        case .string(let item) = items.values[0], case .string(let key) = items.values[1]
      else { throw Failure("tojson: 'separators' must be two strings") }
      (json.itemSeparator, json.keySeparator) = (item, key)
    }
    try renderer.budget.spend(value.weight)
    return try renderer.made(try json.text(of: value))
  }

  private static func asList(_ value: Value) -> Value {
    if case .tuple(let items) = value { return .list(items) }
    return value
  }

  private static func int(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("default", "base", of: "int")
    let base = try bound.int(1) ?? 10
    switch value {
    case .undefined(let undefined): throw undefined.failure
    case .bigInteger: return value
    case .string(let text):
      if let number = try PythonNumbers.int(text, base: base) { return number }
      guard let number = PythonNumbers.float(text), number.isFinite else { return bound[0] ?? .int(0) }
      return whole(number)
    case .float(let number):
      guard number.isFinite else {
        if number.isNaN { return bound[0] ?? .int(0) }
        throw Failure("cannot convert float infinity to integer")
      }
      return whole(number)
    default: return value.index.map { .int($0) } ?? bound[0] ?? .int(0)
    }
  }

  private static func whole(_ number: Double) -> Value {
    let whole = number.rounded(.towardZero)
    return Int(exactly: whole).map { .int($0) } ?? .bigInteger(FloatFormat.fixed(whole, 0))
  }

  private static func float(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("default", of: "float")
    if case .undefined(let undefined) = value { throw undefined.failure }
    if case .string(let text) = value, let number = PythonNumbers.float(text) { return .float(number) }
    return Number(value).map { .float($0.double) } ?? bound[0] ?? .float(0)
  }

  private static func abs(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    switch value {
    case .float(let number): return .float(number.magnitude)
    case .bigInteger(let digits):
      return .bigInteger(digits.hasPrefix("-") ? String(digits.dropFirst()) : digits)
    default:
      guard let number = value.index else { throw Failure("bad operand type for abs(): '\(value.type)'") }
      return number < 0 ? try Operators.negative(.int(number)) : .int(number)
    }
  }

  private static func round(
    _ value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Value {
    let bound = try arguments.bound("precision", "method", of: "round")
    let precision = try bound.int(0) ?? 0
    let method = try bound.text(1) ?? "common"
    guard let number = Number(value) else { throw Failure("type \(value.type) cannot be rounded") }
    switch method {
    case "common":
      if case .int(let whole) = number, precision >= 0 { return .int(whole) }
      return .float(PythonNumbers.round(number.double, precision))
    case "ceil", "floor":
      let scale = PythonNumbers.powerOfTen(precision)
      let scaled = number.double * scale
      return .float((method == "ceil" ? scaled.rounded(.up) : scaled.rounded(.down)) / scale)
    default: throw Failure("round: the method must be common, ceil or floor")
    }
  }
}
