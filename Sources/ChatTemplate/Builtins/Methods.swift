/// The methods of values, as Python's types have them. Those that change a value are refused, as in Jinja's immutable
/// sandbox.
enum Methods {
  /// A method tied to its value; an undefined value for one that is refused; nil if the type has none of that name.
  static func method(_ name: String, of value: Value) -> Value? {
    switch value {
    case .string(let text):
      guard let method = StringMethods.all[name] else { return nil }
      return bound(name, value) { (renderer, arguments) throws(Failure) in
        try renderer.budget.spend(text: text)
        return try method(text, arguments, &renderer)
      }
    case .markup(let text): return Markup.method(name, of: text)
    case .dict(let dict):
      if refusedByDict.contains(name) { return refused(name, value) }
      guard let method = dictMethods[name] else { return nil }
      return bound(name, value) { (renderer, arguments) throws(Failure) in
        try method(dict, arguments, &renderer)
      }
    case .list(let items):
      if refusedByList.contains(name) { return refused(name, value) }
      if name == "copy" { return bound(name, value) { (_, _) throws(Failure) in .list(items) } }
      return search(name, items, value)
    case .tuple(let items): return search(name, items, value)
    case .int(let number): return partOfNumber(name, .int(number), imaginary: .int(0))
    case .bool(let flag): return partOfNumber(name, .int(flag ? 1 : 0), imaginary: .int(0))
    case .float(let number): return partOfNumber(name, .float(number), imaginary: .float(0))
    default: return nil
    }
  }

  private static func partOfNumber(_ name: String, _ real: Value, imaginary: Value) -> Value? {
    name == "real" ? real : name == "imag" ? imaginary : nil
  }

  private static let refusedByList: Set<String> = [
    "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove",
  ]
  private static let refusedByDict: Set<String> = ["clear", "pop", "popitem", "setdefault", "update"]

  private static func refused(_ name: String, _ value: Value) -> Value {
    Undefined.because("access to attribute '\(name)' of '\(value.type)' object is unsafe.")
  }

  private static func bound(
    _ name: String, _ value: Value, _ call: @escaping (inout Renderer, Arguments) throws(Failure) -> Value
  ) -> Value {
    .function(Function(name, depth: value.depth, call: call))
  }

  /// `count` and `index` of a list.
  private static func search(_ name: String, _ items: Items, _ value: Value) -> Value? {
    guard name == "count" || name == "index" else { return nil }
    return bound(name, value) { (renderer, arguments) throws(Failure) in
      try renderer.budget.spend(items.weight)
      let given = try arguments.list(of: name, 1...(name == "count" ? 1 : 3))
      if name == "count" { return .int(items.values.filter { Comparison.equal($0, given[0]) }.count) }
      let start = given.count > 1 ? given[1].index : 0
      let stop = given.count > 2 ? given[2].index : items.values.count
      let places = Renderer.places(items.values.count, start, stop, 1)
      guard let place = places.first(where: { Comparison.equal(items.values[$0], given[0]) }) else {
        throw Failure("\(try Representation.repr(given[0])) is not in the list")
      }
      return .int(place)
    }
  }

  private typealias DictMethod = @Sendable (Dict, Arguments, inout Renderer) throws(Failure) -> Value

  private static let dictMethods: [String: DictMethod] = [
    "keys": { (dict, arguments, _) throws(Failure) in try view(dict, .keys, arguments) },
    "values": { (dict, arguments, _) throws(Failure) in try view(dict, .values, arguments) },
    "items": { (dict, arguments, _) throws(Failure) in try view(dict, .items, arguments) },
    "copy": { (dict, _, _) throws(Failure) in .dict(dict) },
    "get": { (dict, arguments, _) throws(Failure) in
      let given = try arguments.list(of: "get", 1...2)
      return try dict.value(of: given[0]) ?? (given.count > 1 ? given[1] : .none)
    },
  ]

  private static func view(
    _ dict: Dict, _ kind: DictView.Kind, _ arguments: Arguments
  ) throws(Failure) -> Value {
    guard arguments.isEmpty else { throw Failure("\(kind.rawValue.dropFirst(5))() takes no arguments") }
    return .view(DictView(dict: dict, kind: kind))
  }
}
