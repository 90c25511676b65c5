/// What can stand after `is`.
enum Tests {
  static func apply(
    _ name: String, to value: Value, _ arguments: Arguments, _ renderer: inout Renderer
  ) throws(Failure) -> Bool {
    if case .markup(let text) = value {
      if name == "escaped" { return true }
      return try apply(name, to: .string(text), arguments, &renderer)
    }
    let arguments = arguments.plain
    if let comparison = comparisons[name] {
      let other = try arguments.bound("other", of: name, required: 1)[0] ?? .none
      return try Operators.compare(comparison, value, other, &renderer)
    }
    switch name {
    case "divisibleby":
      let number = try arguments.bound("num", of: name, required: 1)[0] ?? .none
      return try isZero(Operators.apply(.modulo, value, number, &renderer))
    case "sameas":
      return isSame(value, try arguments.bound("other", of: name, required: 1)[0] ?? .none)
    default:
      guard arguments.isEmpty else { throw Failure("the test '\(name)' takes no arguments") }
      return try apply(name, to: value, &renderer)
    }
  }

  private static let comparisons: [String: Expression.Comparison] = [
    "==": .equal, "eq": .equal, "equalto": .equal, "!=": .notEqual, "ne": .notEqual, ">": .greater,
    "gt": .greater,
    "greaterthan": .greater, "ge": .greaterOrEqual, ">=": .greaterOrEqual, "<": .less, "lt": .less,
    "lessthan": .less, "<=": .lessOrEqual, "le": .lessOrEqual, "in": .isIn,
  ]

  private static func apply(_ name: String, to value: Value, _ renderer: inout Renderer) throws(Failure)
    -> Bool
  {
    switch name {
    case "defined": return !value.isUndefined
    case "undefined": return value.isUndefined
    case "none": return value.isNone
    case "true": if case .bool(true) = value { return true }
    case "false": if case .bool(false) = value { return true }
    case "boolean": if case .bool = value { return true }
    case "integer":
      switch value {
      case .int, .bigInteger: return true
      default: return false
      }
    case "float": if case .float = value { return true }
    case "number": return Number(value) != nil
    case "string": if case .string = value { return true }
    case "mapping": if case .dict = value { return true }
    case "sequence": return isSequence(value)
    case "iterable": return isIterable(value)
    case "callable":
      switch value {
      case .function, .loop, .undefined: return true
      default: return false
      }
    case "odd":
      return Comparison.equal(try Operators.apply(.modulo, value, .int(2), &renderer), .int(1))
    case "even": return try isZero(Operators.apply(.modulo, value, .int(2), &renderer))
    case "lower": return PythonText.isCase(try renderer.text(of: value), upper: false)
    case "upper": return PythonText.isCase(try renderer.text(of: value), upper: true)
    case "escaped": return false
    case "filter": if case .string(let filter) = value { return Filters.names.contains(filter) }
    default: throw Failure("there is no test '\(name)'")
    }
    return false
  }

  private static func isZero(_ value: Value) -> Bool { Comparison.equal(value, .int(0)) }

  private static func isSequence(_ value: Value) -> Bool {
    switch value {
    case .string, .list, .tuple, .dict, .range, .undefined: true
    default: false
    }
  }

  private static func isIterable(_ value: Value) -> Bool {
    switch value {
    case .string, .list, .tuple, .dict, .range, .view, .generator, .undefined, .loop: true
    default: false
    }
  }

  /// `is` of Python, as far as it does not depend on how Python keeps its values.
  private static func isSame(_ a: Value, _ b: Value) -> Bool {
    switch (a, b) {
    case (.none, .none): true
    case (.bool(let x), .bool(let y)): x == y
    case (.int(let x), .int(let y)): x == y
    case (.string(let x), .string(let y)): PythonText.same(x, y)
    case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)): x === y
    case (.dict(let x), .dict(let y)): x === y
    default: a.type == b.type && Comparison.equal(a, b) && a.weight == 1 && !(Number(a) != nil)
    }
  }
}
