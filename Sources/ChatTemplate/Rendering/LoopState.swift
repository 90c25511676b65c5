/// What `loop` is inside a loop.
final class LoopState {
  let statement: Statement.Loop
  /// Where the loop stands.
  let scope: Scope
  /// Loops of the same statement around this one.
  let level: Int
  private var generator: Generator
  /// Nil while the items have not been counted.
  private var length: Int?
  private(set) var index = -1
  private var current: Value?
  private var previous: Value?
  private var changing: [Value]?

  init(
    _ statement: Statement.Loop, scope: Scope, level: Int, generator: Generator, length: Int?
  ) {
    self.statement = statement
    self.scope = scope
    self.level = level
    self.generator = generator
    self.length = length
  }

  var isEmpty: Bool { length == 0 }

  func next(_ renderer: inout Renderer) throws(Failure) -> Value? {
    guard let value = try generator.next(&renderer) else { return nil }
    index += 1
    previous = current
    current = value
    return value
  }

  /// Items that were not known to be a list are taken into one.
  func count(_ renderer: inout Renderer) throws(Failure) -> Int {
    if let length { return length }
    let rest = try generator.rest(&renderer)
    try renderer.budget.allocate(items: rest.count)
    generator = try Generator(values: rest, depth: 0)
    length = index + 1 + rest.count
    return index + 1 + rest.count
  }

  func attribute(_ name: String, _ renderer: inout Renderer) throws(Failure) -> Value? {
    switch name {
    case "index": return .int(index + 1)
    case "index0": return .int(index)
    case "first": return .bool(index == 0)
    case "last": return .bool(try generator.peek(&renderer) == nil)
    case "length": return .int(try count(&renderer))
    case "revindex": return .int(try count(&renderer) - index)
    case "revindex0": return .int(try count(&renderer) - index - 1)
    case "depth": return .int(level + 1)
    case "depth0": return .int(level)
    case "previtem":
      return index == 0 ? Undefined.because("there is no previous item") : previous
    case "nextitem":
      return try generator.peek(&renderer) ?? Undefined.because("there is no next item")
    case "cycle":
      return .function(Function("cycle") { [self] (_, arguments) throws(Failure) in try cycle(arguments) })
    case "changed":
      return .function(Function("changed") { [self] (_, arguments) throws(Failure) in changed(arguments) })
    default: return nil
    }
  }

  private func cycle(_ arguments: Arguments) throws(Failure) -> Value {
    guard !arguments.positional.isEmpty else { throw Failure("no items for cycling given") }
    return arguments.positional[index % arguments.positional.count]
  }

  private func changed(_ arguments: Arguments) -> Value {
    let values = arguments.positional
    if let changing, changing.count == values.count,
      zip(changing, values).allSatisfy({ Comparison.equal($0, $1) })
    {
      return .bool(false)
    }
    changing = values
    return .bool(true)
  }
}
