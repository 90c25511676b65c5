/// A JSON value that keeps what Foundation's reader drops: the order of members, the bytes of every key
/// (Swift's `String ==` is canonical equivalence, under which two vocabulary entries can collide) and the
/// digits of every number.
public enum JSONValue: Sendable {
  case null
  case bool(Bool)
  /// The number as it was written, e.g. `1e-5`; see `double` and `int`.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

/// The members of a JSON object, in the order in which they were written.
public struct JSONObject: Sendable {
  public struct Member: Sendable {
    public let key: String
    public var value: JSONValue
    /// 1-based line of the key in the text that was read; 0 for a member that was made.
    public let line: Int

    public init(key: String, value: JSONValue, line: Int = 0) {
      self.key = key
      self.value = value
      self.line = line
    }
  }

  public private(set) var members: [Member]

  public init(_ members: [Member] = []) { self.members = members }

  /// Whether two keys have the same bytes.
  static func isSame(_ a: String, _ b: String) -> Bool {
    guard a.utf8.count == b.utf8.count, a == b else { return false }
    return a.utf8.withContiguousStorageIfAvailable { a in
      b.utf8.withContiguousStorageIfAvailable { b in a.elementsEqual(b) }
    }.flatMap(\.self) ?? a.utf8.elementsEqual(b.utf8)
  }

  /// The value of the first member whose key has exactly these UTF-8 bytes.
  public subscript(key: String) -> JSONValue? {
    get { members.first { Self.isSame($0.key, key) }?.value }
    set {
      let at = members.firstIndex { Self.isSame($0.key, key) }
      switch (at, newValue) {
      case (let i?, let value?): members[i].value = value
      case (let i?, nil): members.remove(at: i)
      case (nil, let value?): members.append(Member(key: key, value: value))
      case (nil, nil): break
      }
    }
  }

  /// The line of a key, for error messages; nil if there is no such key or the object was not read from text.
  public func line(of key: String) -> Int? {
    members.first { $0.key.utf8.elementsEqual(key.utf8) }.flatMap { $0.line > 0 ? $0.line : nil }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self.init(elements.map { Member(key: $0.0, value: $0.1) })
  }
}

extension JSONValue {
  public var isNull: Bool { if case .null = self { true } else { false } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
  public var double: Double? { if case .number(let digits) = self { Double(digits) } else { nil } }

  /// The number if it is a whole one that an `Int` holds; `8` and `8.0` alike.
  public var int: Int? {
    guard case .number(let digits) = self else { return nil }
    return Int(digits) ?? Double(digits).flatMap { Int(exactly: $0) }
  }

  /// A member of an object; nil for every other kind of value.
  public subscript(key: String) -> JSONValue? { object?[key] }

  /// What kind of value this is, for error messages: "a string", "an object", ….
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "true or false"
    case .number: "a number"
    case .string: "a string"
    case .array: "a list"
    case .object: "an object"
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .number(String(value)) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(nilLiteral: ()) { self = .null }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(elements.map { .init(key: $0.0, value: $0.1) }))
  }
}

extension JSONValue {
  public static func number(_ value: Int) -> JSONValue { .number(String(value)) }
  /// A finite number in its shortest form that reads back to the same bits; JSON has no infinity or NaN, so
  /// those become null.
  public static func number(_ value: Double) -> JSONValue {
    guard value.isFinite else { return .null }
    if let whole = Int(exactly: value), abs(whole) < 1 << 53, !(value == 0 && value.sign == .minus) {
      return .number(String(whole))
    }
    return .number("\(value)")
  }
  public static func strings(_ values: some Sequence<String>) -> JSONValue {
    .array(values.map { .string($0) })
  }
  public static func numbers(_ values: some Sequence<Int>) -> JSONValue { .array(values.map { .number($0) }) }
  public static func numbers(_ values: some Sequence<Double>) -> JSONValue {
    .array(values.map { .number($0) })
  }
}

extension JSONValue: Equatable {
  /// Strings and keys are compared by their bytes, numbers by their value, objects without regard to order.
  public static func == (a: JSONValue, b: JSONValue) -> Bool {
    switch (a, b) {
    case (.null, .null): return true
    case (.bool(let x), .bool(let y)): return x == y
    case (.number(let x), .number(let y)): return x == y || a.double == b.double
    case (.string(let x), .string(let y)): return x.utf8.elementsEqual(y.utf8)
    case (.array(let x), .array(let y)): return x == y
    case (.object(let x), .object(let y)):
      return x.members.count == y.members.count
        && x.members.allSatisfy { member in y[member.key].map { $0 == member.value } ?? false }
    default: return false
    }
  }
}
