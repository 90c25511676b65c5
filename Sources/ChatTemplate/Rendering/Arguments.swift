/// What a function, filter or test is given.
struct Arguments {
  var positional: [Value] = []
  var keywords: [(name: String, value: Value)] = []

  var isEmpty: Bool { positional.isEmpty && keywords.isEmpty }

  /// With text that is marked as escaped taken as any other.
  var plain: Arguments {
    Arguments(positional: positional.map(\.plain), keywords: keywords.map { ($0.name, $0.value.plain) })
  }

  mutating func take(keyword name: String) -> Value? {
    guard let place = keywords.firstIndex(where: { PythonText.same($0.name, name) }) else { return nil }
    return keywords.remove(at: place).value
  }

  /// The arguments in the order of a function's parameters; nil for one that is not given.
  func bound(_ parameters: String..., of function: String, required: Int = 0) throws(Failure) -> Bound {
    guard positional.count <= parameters.count else {
      throw Failure("\(function) takes at most \(parameters.count) arguments, not \(positional.count)")
    }
    var values: [Value?] = positional
    values += Array(repeating: nil, count: parameters.count - positional.count)
    for keyword in keywords {
      guard let place = parameters.firstIndex(of: keyword.name) else {
        throw Failure("\(function) has no argument '\(keyword.name)'")
      }
      guard values[place] == nil else { throw Failure("\(function) is given '\(keyword.name)' twice") }
      values[place] = keyword.value
    }
    for i in 0..<required where values[i] == nil {
      throw Failure("\(function) needs its argument '\(parameters[i])'")
    }
    return Bound(function: function, parameters: parameters, values: values)
  }

  /// Arguments of a function that takes none by name.
  func list(of function: String, _ counts: ClosedRange<Int>) throws(Failure) -> [Value] {
    guard keywords.isEmpty else { throw Failure("\(function)() takes no keyword arguments") }
    guard counts.contains(positional.count) else {
      throw Failure("\(function)() does not take \(positional.count) arguments")
    }
    return positional
  }
}

/// Arguments in the order of a function's parameters.
struct Bound {
  let function: String
  let parameters: [String]
  let values: [Value?]

  subscript(place: Int) -> Value? { values[place] }

  private func wrong(_ place: Int, _ expected: String, _ value: Value) -> Failure {
    if case .undefined(let undefined) = value { return undefined.failure }
    return Failure("\(function): '\(parameters[place])' must be \(expected), not \(value.type)")
  }

  func text(_ place: Int) throws(Failure) -> String? {
    guard let value = values[place] else { return nil }
    guard case .string(let text) = value else { throw wrong(place, "a string", value) }
    return text
  }

  /// A string, or nil for none.
  func optionalText(_ place: Int) throws(Failure) -> String? {
    if let value = values[place], value.isNone { return nil }
    return try text(place)
  }

  func int(_ place: Int) throws(Failure) -> Int? {
    guard let value = values[place] else { return nil }
    guard let number = value.index else { throw wrong(place, "an integer", value) }
    return number
  }

  /// An integer, or nil for none.
  func optionalInt(_ place: Int) throws(Failure) -> Int? {
    if let value = values[place], value.isNone { return nil }
    return try int(place)
  }

  func flag(_ place: Int) -> Bool { values[place]?.isTrue ?? false }
}

extension Value {
  /// An integer that can count or stand as an index.
  var index: Int? {
    switch self {
    case .int(let number): number
    case .bool(let flag): flag ? 1 : 0
    default: nil
    }
  }
}
