/// Attributes, items and slices, as Jinja's sandbox finds them: `a.b` prefers what the type has, `a['b']` what the
/// value has.
extension Renderer {
  mutating func attribute(_ name: String, of value: Value) throws(Failure) -> Value {
    try budget.spend()
    if case .undefined(let undefined) = value {
      if name.hasPrefix("__"), name.hasSuffix("__") { return Self.missing(name, of: value) }
      throw undefined.failure
    }
    if let member = try ownAttribute(name, of: value) { return member }
    if case .dict(let dict) = value, let item = dict[name] { return item }
    return Self.missing(name, of: value)
  }

  /// What the type has: methods, a namespace's attributes, a loop's state.
  private mutating func ownAttribute(_ name: String, of value: Value) throws(Failure) -> Value? {
    switch value {
    case .namespace(let namespace): return namespace[name]
    case .loop(let loop): return try loop.attribute(name, &self)
    case .function(let function) where name == "name": return .string(function.name)
    default: return Methods.method(name, of: value)
    }
  }

  mutating func item(_ index: Value, of value: Value) throws(Failure) -> Value {
    try budget.spend()
    switch value {
    case .undefined(let undefined): throw undefined.failure
    case .markup(let text) where index.index != nil: return try item(index, of: .string(text)).marked
    case .dict(let dict):
      if case .string(let name) = index.plain {
        if let item = dict[name] { return item }
      } else if case .undefined = index {
        break
      } else if let key = try? Key(index), let item = try? dict.value(of: index) {
        _ = key
        return item
      }
    default:
      if let place = index.index, let item = try element(place, of: value) { return item }
    }
    if case .string(let name) = index.plain, let member = try ownAttribute(name, of: value) { return member }
    return Self.missing(try Representation.text(index), of: value)
  }

  /// The element at a place, counted from the end below zero; nil if there is none.
  private mutating func element(_ place: Int, of value: Value) throws(Failure) -> Value? {
    func within(_ count: Int) -> Int? {
      let place = place < 0 ? place + count : place
      return place >= 0 && place < count ? place : nil
    }
    switch value {
    case .list(let items), .tuple(let items): return within(items.values.count).map { items.values[$0] }
    case .range(let range): return within(range.count).map { .int(range.at($0)) }
    case .string(let text):
      try budget.spend(text: text)
      let scalars = text.unicodeScalars
      let index =
        place < 0
        ? scalars.index(scalars.endIndex, offsetBy: place, limitedBy: scalars.startIndex)
        : scalars.index(scalars.startIndex, offsetBy: place, limitedBy: scalars.endIndex)
      return index.flatMap { $0 < scalars.endIndex ? .string(String(scalars[$0])) : nil }
    default: return nil
    }
  }

  static func missing(_ name: String, of value: Value) -> Value {
    let owner =
      switch value {
      case .none: "None"
      case .namespace: "namespace"
      default: value.type + " object"
      }
    return .undefined(Undefined(origin: .attribute(of: owner, name)))
  }

  mutating func slice(
    _ value: Value, start: Expression?, stop: Expression?, step: Expression?
  ) throws(Failure) -> Value {
    let start = try bound(start)
    let stop = try bound(stop)
    let step = try bound(step) ?? 1
    guard step != 0 else { throw Failure("slice step cannot be zero") }
    switch value {
    case .undefined(let undefined): throw undefined.failure
    case .list(let items):
      return try made(Self.places(items.values.count, start, stop, step).map { items.values[$0] })
    case .tuple(let items):
      return try .tuple(Self.places(items.values.count, start, stop, step).map { items.values[$0] })
    case .string(let text): return try slice(text, start, stop, step)
    case .markup(let text): return try slice(text, start, stop, step).marked
    case .range(let range):
      return .range(Self.slice(range, start, stop, step))
    default: throw Failure("'\(value.type)' object cannot be sliced")
    }
  }

  private mutating func bound(_ expression: Expression?) throws(Failure) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if value.isNone { return nil }
    if case .undefined(let undefined) = value { throw undefined.failure }
    guard let index = value.index else { throw Failure("slice indices must be integers or none") }
    return index
  }

  private mutating func slice(_ text: String, _ start: Int?, _ stop: Int?, _ step: Int) throws(Failure)
    -> Value
  {
    try budget.spend(text: text)
    let scalars = Array(text.unicodeScalars)
    return try made(PythonText.string(Self.places(scalars.count, start, stop, step).lazy.map { scalars[$0] }))
  }

  private static func slice(_ range: IntegerRange, _ start: Int?, _ stop: Int?, _ step: Int) -> IntegerRange {
    let places = Array(places(range.count, start, stop, step))
    let (wide, overflow) = range.step.multipliedReportingOverflow(by: step)
    let first = places.first.map(range.at) ?? range.start
    guard places.count > 1, !overflow else {
      return IntegerRange(start: first, stop: first + places.count, step: 1, count: places.count)
    }
    return IntegerRange(start: first, stop: first + wide * places.count, step: wide, count: places.count)
  }

  /// The places that Python's `slice.indices` names.
  static func places(_ count: Int, _ start: Int?, _ stop: Int?, _ step: Int) -> StrideTo<Int> {
    let lowest = step < 0 ? -1 : 0
    let highest = step < 0 ? count - 1 : count
    func clamped(_ place: Int) -> Int {
      place < 0 ? max(place < -count ? lowest : place + count, lowest) : min(place, highest)
    }
    let first = start.map(clamped) ?? (step < 0 ? highest : lowest)
    let last = stop.map(clamped) ?? (step < 0 ? lowest : highest)
    return stride(from: first, to: last, by: step)
  }
}
