/// Values that come one by one, once: what a filter such as `map` gives, or the items of anything.
final class Generator {
  let depth: Int
  private var produce: ((inout Renderer) throws(Failure) -> Value?)?
  /// What was looked at before it was taken.
  private var waiting: Value?

  init(
    depth: Int, produce: @escaping (inout Renderer) throws(Failure) -> Value?
  ) throws(Failure) {
    self.depth = depth + 1
    guard self.depth <= Limits.valueDepth else {
      throw Failure("more than \(Limits.valueDepth) iterators inside each other")
    }
    self.produce = produce
  }

  func next(_ renderer: inout Renderer) throws(Failure) -> Value? {
    if let value = waiting {
      waiting = nil
      return value
    }
    guard let produce else { return nil }
    try renderer.budget.spend()
    let value = try produce(&renderer)
    if value == nil { self.produce = nil }
    return value
  }

  func peek(_ renderer: inout Renderer) throws(Failure) -> Value? {
    if waiting == nil { waiting = try next(&renderer) }
    return waiting
  }

  /// All that is left.
  func rest(_ renderer: inout Renderer) throws(Failure) -> [Value] {
    var values: [Value] = []
    while let value = try next(&renderer) {
      guard values.count < Limits.items else { throw Failure("a list of more than \(Limits.items) items") }
      values.append(value)
    }
    return values
  }
}

extension Generator {
  convenience init(values: [Value], depth: Int) throws(Failure) {
    var place = 0
    try self.init(depth: depth) { (_) throws(Failure) in
      guard place < values.count else { return nil }
      place += 1
      return values[place - 1]
    }
  }

  /// The items of a value: characters of a string, keys of an object.
  static func over(_ value: Value) throws(Failure) -> Generator {
    switch value {
    case .generator(let generator): return generator
    case .list(let items), .tuple(let items): return try Generator(values: items.values, depth: items.depth)
    case .dict(let dict): return try Generator(values: dict.keys, depth: dict.depth)
    case .string(let text), .markup(let text):
      var scalars = text.unicodeScalars.makeIterator()
      return try Generator(depth: 0) { (_) throws(Failure) in scalars.next().map { .string(String($0)) } }
    case .view(let view):
      return try counted(view.dict.count, depth: view.dict.depth) { (i) throws(Failure) in try view.at(i) }
    case .range(let range):
      return try counted(range.count, depth: 0) { (i) throws(Failure) in .int(range.at(i)) }
    case .undefined: return try Generator(values: [], depth: 0)
    default: throw Failure("'\(value.type)' object is not iterable")
    }
  }

  private static func counted(
    _ count: Int, depth: Int, _ at: @escaping (Int) throws(Failure) -> Value
  ) throws(Failure) -> Generator {
    var place = 0
    return try Generator(depth: depth) { (_) throws(Failure) in
      guard place < count else { return nil }
      place += 1
      return try at(place - 1)
    }
  }
}
