/// An object: keys in their order, each once. It never changes once it is made.
final class Dict {
  private(set) var keys: [Value] = []
  private(set) var values: [Value] = []
  private(set) var depth = 1
  private(set) var weight = 1
  /// Places by key, once there are many.
  private var places: [Key: Int] = [:]

  private static let indexedFrom = 9

  var count: Int { keys.count }

  init() {}

  init(_ pairs: [(Value, Value)]) throws(Failure) {
    for (key, value) in pairs { try insert(key, value) }
  }

  func copy() -> Dict {
    let copy = Dict()
    (copy.keys, copy.values, copy.places) = (keys, values, places)
    (copy.depth, copy.weight) = (depth, weight)
    return copy
  }

  /// Sets a value while the object is being made. A key that is there stays where and as it is.
  func insert(_ key: Value, _ value: Value) throws(Failure) {
    depth = max(depth, 1 + max(key.depth, value.depth))
    weight += key.weight + value.weight
    try Items.check(depth: depth, weight: weight)
    let key = key.plain
    let hashed = try Key(key)
    if let place = place(of: hashed, key) {
      values[place] = value
      return
    }
    keys.append(key)
    values.append(value)
    if count == Self.indexedFrom {
      for (i, key) in keys.enumerated() { places[try Key(key)] = i }
    } else if count > Self.indexedFrom {
      places[hashed] = count - 1
    }
  }

  private func place(of hashed: Key, _ key: Value) -> Int? {
    guard count < Self.indexedFrom else { return places[hashed] }
    if case .string(let text) = key { return shortPlace(of: text) }
    return keys.firstIndex { (try? Key($0)) == hashed }
  }

  private func shortPlace(of text: String) -> Int? {
    for (i, key) in keys.enumerated() {
      if case .string(let other) = key, PythonText.same(text, other) { return i }
    }
    return nil
  }

  subscript(text: String) -> Value? {
    (count < Self.indexedFrom ? shortPlace(of: text) : places[.text(TextKey(text: text))]).map { values[$0] }
  }

  func value(of key: Value) throws(Failure) -> Value? { place(of: try Key(key), key).map { values[$0] } }
}

/// A string by its bytes.
struct TextKey: Hashable {
  let text: String

  static func == (a: TextKey, b: TextKey) -> Bool { PythonText.same(a.text, b.text) }

  func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
  }
}

/// A value as the key of an object or member of a set: equal for values that Python takes for equal.
enum Key: Hashable {
  case none
  case undefined
  case int(Int)
  case float(Double)
  case bigInteger(String)
  case text(TextKey)
  case tuple([Key])
  case object(ObjectIdentifier)

  init(_ value: Value) throws(Failure) {
    switch value {
    case .none: self = .none
    case .undefined: self = .undefined
    case .bool(let flag): self = .int(flag ? 1 : 0)
    case .int(let number): self = .int(number)
    case .float(let number): self = Int(exactly: number).map { .int($0) } ?? .float(number)
    case .bigInteger(let digits): self = .bigInteger(digits)
    case .string(let text), .markup(let text): self = .text(TextKey(text: text))
    case .tuple(let items):
      var keys: [Key] = []
      for item in items.values { keys.append(try Key(item)) }
      self = .tuple(keys)
    case .namespace(let namespace): self = .object(ObjectIdentifier(namespace))
    case .function(let function): self = .object(ObjectIdentifier(function))
    case .generator(let generator): self = .object(ObjectIdentifier(generator))
    case .list, .dict, .view, .range, .loop: throw Failure("unhashable type: '\(value.type)'")
    }
  }
}

/// What `keys`, `values` and `items` of an object give.
struct DictView {
  enum Kind: String {
    case keys = "dict_keys"
    case values = "dict_values"
    case items = "dict_items"
  }

  let dict: Dict
  let kind: Kind

  func at(_ index: Int) throws(Failure) -> Value {
    switch kind {
    case .keys: dict.keys[index]
    case .values: dict.values[index]
    case .items: try .tuple([dict.keys[index], dict.values[index]])
    }
  }
}
