/// Python's `format % values`.
struct PercentFormat {
  private let scalars: [Unicode.Scalar]
  private let values: Value
  private var at = 0
  private var used = 0
  private var result = ""

  static func apply(_ format: String, _ values: Value, _ renderer: inout Renderer) throws(Failure) -> String {
    try renderer.budget.spend(text: format)
    var formatter = PercentFormat(scalars: Array(format.unicodeScalars), values: values)
    return try formatter.run(&renderer)
  }

  private init(scalars: [Unicode.Scalar], values: Value) {
    self.scalars = scalars
    self.values = values
  }

  private mutating func run(_ renderer: inout Renderer) throws(Failure) -> String {
    var usesNames = false
    while at < scalars.count {
      let scalar = scalars[at]
      at += 1
      guard scalar == "%" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      if peek == "(" { usesNames = true }
      try directive(&renderer)
      guard result.utf8.count <= Limits.text else {
        throw Failure("a text of more than \(Limits.text >> 20) MiB")
      }
    }
    let isMapping = if case .dict = values { true } else { false }
    if case .tuple(let items) = values {
      guard used == items.values.count else {
        throw Failure("not all arguments converted during string formatting")
      }
    } else if !usesNames, !isMapping, used == 0 {
      switch values {
      case .list, .range, .undefined: return result
      default: break
      }
      throw Failure("not all arguments converted during string formatting")
    }
    return result
  }

  private var peek: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

  private mutating func directive(_ renderer: inout Renderer) throws(Failure) {
    var named: Value?
    if peek == "(" { named = try self.named() }
    var spec = FormatSpec()
    while let flag = peek, "-+ #0".unicodeScalars.contains(flag) {
      at += 1
      switch flag {
      case "-": spec.align = "<"
      case "+": spec.sign = "+"
      case " ": if spec.sign == nil { spec.sign = " " }
      case "#": spec.isAlternate = true
      default: spec.isZeroPadded = true
      }
    }
    spec.width = try number(&renderer) ?? 0
    if spec.width < 0 { (spec.width, spec.align) = (-max(spec.width, -Limits.text - 1), "<") }
    if peek == "." {
      at += 1
      spec.precision = max(0, try number(&renderer) ?? 0)
    }
    while let letter = peek, letter == "l" || letter == "h" || letter == "L" { at += 1 }
    guard let conversion = peek else { throw Failure("incomplete format") }
    at += 1
    if conversion == "%" {
      result += "%"
      return
    }
    let value: Value
    if let named { value = named } else { value = try next() }
    result += try convert(value, conversion, spec, &renderer)
  }

  private mutating func named() throws(Failure) -> Value {
    at += 1
    var level = 1
    let start = at
    while let scalar = peek {
      at += 1
      if scalar == "(" { level += 1 }
      if scalar == ")" { level -= 1 }
      if level == 0 { break }
    }
    guard level == 0 else { throw Failure("incomplete format key") }
    let name = PythonText.string(scalars[start..<(at - 1)])
    guard case .dict(let dict) = values else { throw Failure("format requires a mapping") }
    guard let value = dict[name] else { throw Failure("there is no key '\(name)' to format") }
    return value
  }

  private mutating func next() throws(Failure) -> Value {
    used += 1
    if case .tuple(let items) = values {
      guard used <= items.values.count else { throw Failure("not enough arguments for format string") }
      return items.values[used - 1]
    }
    guard used == 1 else { throw Failure("not enough arguments for format string") }
    return values
  }

  /// Digits, or `*` for a number among the values.
  private mutating func number(_ renderer: inout Renderer) throws(Failure) -> Int? {
    if peek == "*" {
      at += 1
      guard let width = try next().index else { throw Failure("* wants int") }
      return width
    }
    var value: Int?
    while let digit = peek, ("0"..."9").contains(digit) {
      at += 1
      value = min((value ?? 0) * 10 + Int(digit.value - 0x30), Limits.text + 1)
    }
    return value
  }

  private func convert(
    _ value: Value, _ conversion: Unicode.Scalar, _ spec: FormatSpec, _ renderer: inout Renderer
  ) throws(Failure) -> String {
    var spec = spec
    if spec.align != nil { spec.isZeroPadded = false }
    let align = spec.align ?? ">"
    switch conversion {
    case "s", "r", "a":
      spec.isZeroPadded = false
      spec.sign = nil
      spec.align = align
      let text = conversion == "s" ? try renderer.text(of: value) : try Representation.repr(value)
      return try spec.text(text, &renderer.budget)
    case "d", "i", "u", "x", "X", "o", "c":
      return try integer(value, conversion, spec, align, &renderer)
    case "e", "E", "f", "F", "g", "G":
      guard let number = Number(value) else { throw Failure("must be real number, not \(value.type)") }
      spec.type = conversion
      spec.precision = spec.precision ?? 6
      spec.align = spec.isZeroPadded ? nil : align
      return try spec.number(.float(number.double), &renderer.budget)
    default: throw Failure("unsupported format character '\(conversion)'")
    }
  }

  private func integer(
    _ value: Value, _ conversion: Unicode.Scalar, _ spec: FormatSpec, _ align: Unicode.Scalar,
    _ renderer: inout Renderer
  ) throws(Failure) -> String {
    var spec = spec
    if conversion == "c", case .string(let text) = value, PythonText.count(text) == 1 {
      spec.align = align
      spec.isZeroPadded = false
      spec.precision = nil
      return try spec.text(text, &renderer.budget)
    }
    let isDecimal = ["d", "i", "u"].contains(conversion)
    guard
      let number = value.index
        ?? (isDecimal ? Number(value).flatMap { Int(exactly: $0.double.rounded(.towardZero)) } : nil)
    else { throw Failure("%\(conversion) format: an integer is required, not \(value.type)") }
    spec.type = isDecimal ? "d" : conversion
    spec.align = spec.isZeroPadded ? nil : align
    spec.leastDigits = spec.precision ?? 0
    spec.precision = nil
    return try spec.number(.int(number), &renderer.budget)
  }
}
