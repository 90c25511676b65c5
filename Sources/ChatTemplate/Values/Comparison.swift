/// Equality and order as Python defines them.
enum Comparison {
  static func equal(_ a: Value, _ b: Value) -> Bool {
    switch (a, b) {
    case (.string(let x), .string(let y)): PythonText.same(x, y)
    case (.none, .none), (.undefined, .undefined): true
    case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)): equal(x, y)
    case (.dict(let x), .dict(let y)): equal(x, y)
    case (.range(let x), .range(let y)):
      x.count == y.count && (x.count == 0 || x.start == y.start && (x.count == 1 || x.step == y.step))
    case (.namespace(let x), .namespace(let y)): x === y
    case (.generator(let x), .generator(let y)): x === y
    case (.function(let x), .function(let y)): x === y
    case (.loop(let x), .loop(let y)): x === y
    case (.view(let x), .view(let y)):
      x.kind == y.kind && x.kind != .values && equal(x.dict, y.dict, onlyKeys: x.kind == .keys)
    case (.bigInteger(let x), .bigInteger(let y)): x == y
    case (.markup, _), (_, .markup): equal(a.plain, b.plain)
    default: numbersEqual(a, b)
    }
  }

  private static func equal(_ a: Items, _ b: Items) -> Bool {
    a === b
      || a.values.count == b.values.count && zip(a.values, b.values).allSatisfy { equal($0, $1) }
  }

  private static func equal(_ a: Dict, _ b: Dict, onlyKeys: Bool = false) -> Bool {
    guard a !== b else { return true }
    guard a.count == b.count else { return false }
    for (key, value) in zip(a.keys, a.values) {
      guard let other = try? b.value(of: key), onlyKeys || equal(value, other) else { return false }
    }
    return true
  }

  private static func numbersEqual(_ a: Value, _ b: Value) -> Bool {
    guard let x = Number(a), let y = Number(b) else { return false }
    return Number.order(x, y) == 0
  }

  /// Whether a comes before b.
  static func less(_ a: Value, _ b: Value, sign: String = "<") throws(Failure) -> Bool {
    guard let order = try order(a, b, sign: sign) else { return false }
    return order < 0
  }

  /// Below, at or above zero; nil where one is not a number.
  static func order(_ a: Value, _ b: Value, sign: String) throws(Failure) -> Int? {
    switch (a.plain, b.plain) {
    case (.undefined(let undefined), _), (_, .undefined(let undefined)): throw undefined.failure
    case (.string(let x), .string(let y)):
      return PythonText.same(x, y) ? 0 : x.utf8.lexicographicallyPrecedes(y.utf8) ? -1 : 1
    case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)):
      for (left, right) in zip(x.values, y.values) where !equal(left, right) {
        return try order(left, right, sign: sign)
      }
      return x.values.count - y.values.count
    default:
      guard let x = Number(a), let y = Number(b) else {
        throw Failure("'\(sign)' not supported between instances of '\(a.type)' and '\(b.type)'")
      }
      return Number.order(x, y)
    }
  }

  /// `a in b`.
  static func contains(_ b: Value, _ a: Value, _ renderer: inout Renderer) throws(Failure) -> Bool {
    switch b.plain {
    case .string(let text):
      guard case .string(let part) = a.plain else {
        if case .undefined(let undefined) = a { throw undefined.failure }
        throw Failure("'in <string>' requires string as left operand, not \(a.type)")
      }
      try renderer.budget.spend(text: text)
      return text.contains(bytesOf: part)
    case .dict(let dict): return try dict.value(of: a) != nil
    case .view(let view) where view.kind == .keys: return try view.dict.value(of: a) != nil
    case .list(let items), .tuple(let items):
      try renderer.budget.spend(items.values.count)
      return items.values.contains { equal($0, a) }
    case .namespace, .function, .none, .bool, .int, .float, .bigInteger, .loop:
      throw Failure("argument of type '\(b.type)' is not iterable")
    default:
      let items = try Generator.over(b)
      while let item = try items.next(&renderer) {
        if equal(item, a) { return true }
      }
      return false
    }
  }
}
