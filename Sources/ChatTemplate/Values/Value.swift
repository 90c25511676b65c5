/// A value of a template, with Python's types.
enum Value {
  case undefined(Undefined)
  case none
  case bool(Bool)
  case int(Int)
  /// An integer beyond `Int`, as its digits: it can be shown and compared, not computed with.
  case bigInteger(String)
  case float(Double)
  case string(String)
  /// Text that needs no more escaping: what `escape` and `safe` give. What is added to it is escaped.
  case markup(String)
  case list(Items)
  case tuple(Items)
  case dict(Dict)
  case view(DictView)
  case range(IntegerRange)
  case namespace(Namespace)
  case generator(Generator)
  case loop(LoopState)
  case function(Function)

  static var emptyString: Value { .string("") }

  static func list(_ items: [Value]) throws(Failure) -> Value { .list(try Items(items)) }
  static func tuple(_ items: [Value]) throws(Failure) -> Value { .tuple(try Items(items)) }

  /// The name of its type in Python.
  var type: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .bool: "bool"
    case .int, .bigInteger: "int"
    case .float: "float"
    case .string: "str"
    case .markup: "Markup"
    case .list: "list"
    case .tuple: "tuple"
    case .dict: "dict"
    case .view(let view): view.kind.rawValue
    case .range: "range"
    case .namespace: "Namespace"
    case .generator: "generator"
    case .loop: "LoopContext"
    case .function: "function"
    }
  }

  /// Levels of values inside each other.
  var depth: Int {
    switch self {
    case .list(let items), .tuple(let items): items.depth
    case .dict(let dict): dict.depth
    case .view(let view): view.dict.depth + 1
    case .generator(let generator): generator.depth
    case .function(let function): function.depth
    default: 0
    }
  }

  /// How many values it consists of, those that occur at several places counted at each.
  var weight: Int {
    switch self {
    case .list(let items), .tuple(let items): items.weight
    case .dict(let dict): dict.weight
    case .view(let view): view.dict.weight
    default: 1
    }
  }

  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let flag): flag
    case .int(let number): number != 0
    case .float(let number): number != 0
    case .string(let text), .markup(let text): !text.isEmpty
    case .list(let items), .tuple(let items): !items.values.isEmpty
    case .dict(let dict): dict.count > 0
    case .view(let view): view.dict.count > 0
    case .range(let range): range.count > 0
    case .loop(let loop): !loop.isEmpty
    case .bigInteger, .namespace, .generator, .function: true
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }
  var isNone: Bool { if case .none = self { true } else { false } }
}

/// What stands for a value that is not there. It is false, empty and without items; what needs a value fails with its
/// reason.
struct Undefined {
  enum Origin {
    case name(String)
    /// An attribute or item that a value does not have: the value's kind, and the attribute.
    case attribute(of: String, String)
    case reason(String)
  }

  let origin: Origin

  static func named(_ name: String) -> Value { .undefined(Undefined(origin: .name(name))) }
  static func because(_ reason: String) -> Value { .undefined(Undefined(origin: .reason(reason))) }

  var failure: Failure {
    switch origin {
    case .name(let name): Failure("'\(name)' is undefined")
    case .attribute(let owner, let name): Failure("'\(owner)' has no attribute '\(name)'")
    case .reason(let reason): Failure(reason)
    }
  }
}

/// The values of a list or tuple.
final class Items {
  let values: [Value]
  let depth: Int
  let weight: Int

  init(_ values: [Value]) throws(Failure) {
    guard values.count <= Limits.items else { throw Failure("a list of more than \(Limits.items) items") }
    var deepest = 0
    var weight = 1
    for value in values {
      deepest = max(deepest, value.depth)
      weight += value.weight
    }
    self.values = values
    self.weight = weight
    depth = deepest + 1
    try Self.check(depth: depth, weight: weight)
  }

  static func check(depth: Int, weight: Int) throws(Failure) {
    guard depth <= Limits.valueDepth else {
      throw Failure("more than \(Limits.valueDepth) lists and objects inside each other")
    }
    guard weight <= Limits.weight else { throw Failure("a value with more than \(Limits.weight) parts") }
  }
}

/// A range of integers.
struct IntegerRange {
  let start: Int
  let stop: Int
  let step: Int
  let count: Int

  func at(_ index: Int) -> Int { start + index * step }
}

/// The attributes of `namespace(…)`: the only values that a template may change.
final class Namespace {
  var names: [String] = []
  var values: [Value] = []

  subscript(name: String) -> Value? {
    get { names.firstIndex { PythonText.same($0, name) }.map { values[$0] } }
    set {
      guard let newValue else { return }
      if let place = names.firstIndex(where: { PythonText.same($0, name) }) {
        values[place] = newValue
      } else {
        names.append(name)
        values.append(newValue)
      }
    }
  }
}

/// Something that can be called: a macro, a method of a value, or one of Jinja's functions.
final class Function {
  let name: String
  /// Levels of values that it holds.
  let depth: Int
  let call: (inout Renderer, Arguments) throws(Failure) -> Value

  init(
    _ name: String, depth: Int = 0, call: @escaping (inout Renderer, Arguments) throws(Failure) -> Value
  ) {
    self.name = name
    self.depth = depth + 1
    self.call = call
  }
}
