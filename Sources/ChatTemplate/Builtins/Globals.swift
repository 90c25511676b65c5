/// The functions that every template can call.
enum Globals {
  static func value(_ name: String) -> Value? { functions[name].map { .function($0()) } }

  private static let functions: [String: @Sendable () -> Function] = [
    "range": { Function("range") { (renderer, arguments) throws(Failure) in try range(arguments) } },
    "dict": { Function("dict") { (renderer, arguments) throws(Failure) in try dict(arguments, &renderer) } },
    "namespace": {
      Function("namespace") { (renderer, arguments) throws(Failure) in try namespace(arguments, &renderer) }
    },
    "raise_exception": {
      Function("raise_exception") { (renderer, arguments) throws(Failure) in
        let message = try arguments.bound("message", of: "raise_exception", required: 1)[0] ?? .none
        throw Failure(try Representation.text(message))
      }
    },
    "strftime_now": {
      Function("strftime_now") { (renderer, arguments) throws(Failure) in
        let format = try arguments.bound("format", of: "strftime_now", required: 1).text(0) ?? ""
        return try renderer.made(try DateFormat.text(of: renderer.date, format))
      }
    },
  ]

  private static func range(_ arguments: Arguments) throws(Failure) -> Value {
    var bounds: [Int] = []
    for value in try arguments.list(of: "range", 1...3) {
      if case .undefined(let undefined) = value { throw undefined.failure }
      guard let bound = value.index else { throw Failure("range: '\(value.type)' is not an integer") }
      bounds.append(bound)
    }
    let (start, stop) = bounds.count == 1 ? (0, bounds[0]) : (bounds[0], bounds[1])
    let step = bounds.count == 3 ? bounds[2] : 1
    guard step != 0 else { throw Failure("the step of a range must not be zero") }
    guard step > 0 ? start < stop : start > stop else {
      return .range(IntegerRange(start: start, stop: stop, step: step, count: 0))
    }
    let (length, overflow) = stop.subtractingReportingOverflow(start)
    let count = (length.magnitude - 1) / step.magnitude
    guard !overflow, count < Limits.range else { throw Failure("a range of more than \(Limits.range) items") }
    return .range(IntegerRange(start: start, stop: stop, step: step, count: Int(count) + 1))
  }

  private static func dict(_ arguments: Arguments, _ renderer: inout Renderer) throws(Failure) -> Value {
    guard arguments.positional.count <= 1 else { throw Failure("dict takes at most one argument") }
    let dict = Dict()
    switch arguments.positional.first {
    case nil: break
    case .dict(let other): for (key, value) in zip(other.keys, other.values) { try dict.insert(key, value) }
    case let pairs?:
      for pair in try renderer.items(of: pairs) {
        let items = try renderer.items(of: pair)
        guard items.count == 2 else { throw Failure("dict: a pair has \(items.count) items") }
        try dict.insert(items[0], items[1])
      }
    }
    for keyword in arguments.keywords { try dict.insert(.string(keyword.name), keyword.value) }
    try renderer.budget.allocate(items: 3 * dict.count)
    return .dict(dict)
  }

  private static func namespace(_ arguments: Arguments, _ renderer: inout Renderer) throws(Failure) -> Value {
    let namespace = try renderer.makeNamespace()
    guard case .dict(let attributes) = try dict(arguments, &renderer) else { return .none }
    for (key, value) in zip(attributes.keys, attributes.values) {
      guard case .string(let name) = key else { throw Failure("namespace: attributes must have names") }
      try checkAttribute(name)
      try renderer.budget.spend(namespace.names.count)
      namespace[name] = value
    }
    return .namespace(namespace)
  }

  static func checkAttribute(_ name: String) throws(Failure) {
    if name.hasPrefix("_") {
      throw Failure("'\(name)': names with an underscore are no attributes of a namespace")
    }
  }
}
