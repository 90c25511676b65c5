import Digests
import JSON

/// Takes the fields and objects of one message, each checked against its range. Fields that are not asked for are
/// ignored, so that a later minor version may add some; an object that nobody asks for is an error.
struct BodyReader {
  let type: MessageType
  let limits: WireLimits
  private let fields: JSONObject
  private var objects: [String: WireObject]
  private let piece: WireSlice?

  init(
    type: MessageType, fields: JSONObject, objects: [WireObject], piece: WireSlice? = nil,
    limits: WireLimits = WireLimits()
  ) {
    self.type = type
    self.limits = limits
    self.fields = fields
    self.piece = piece
    self.objects = Dictionary(objects.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  func error(_ key: String, _ reason: String) -> ProtocolError {
    ProtocolError(.field, "\(type.name): \"\(key)\" \(reason)")
  }

  /// The value of a field that must be there.
  func value(_ key: String) throws(ProtocolError) -> JSONValue {
    guard let value = fields[key] else { throw error(key, "is missing") }
    return value
  }

  /// The value of a field that may be absent or null.
  func optional(_ key: String) -> JSONValue? {
    guard let value = fields[key], !value.isNull else { return nil }
    return value
  }

  func integer(_ key: String, in range: ClosedRange<Int>) throws(ProtocolError) -> Int {
    try integer(value(key), key, in: range)
  }

  func optionalInteger(_ key: String, in range: ClosedRange<Int>) throws(ProtocolError) -> Int? {
    guard let value = optional(key) else { return nil }
    return try integer(value, key, in: range)
  }

  private func integer(_ value: JSONValue, _ key: String, in range: ClosedRange<Int>) throws(ProtocolError)
    -> Int
  {
    guard let number = value.int, range.contains(number) else {
      throw error(key, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  func integers(
    _ key: String, in range: ClosedRange<Int>, maximumCount: Int
  ) throws(ProtocolError) -> [Int] {
    guard let items = try value(key).array, items.count <= maximumCount else {
      throw error(key, "must be a list of at most \(maximumCount) whole numbers")
    }
    var numbers: [Int] = []
    for item in items { numbers.append(try integer(item, key, in: range)) }
    return numbers
  }

  func optionalUnsigned(_ key: String) throws(ProtocolError) -> UInt64? {
    guard let value = optional(key) else { return nil }
    guard case .number(let digits) = value, let number = UInt64(digits) else {
      throw error(key, "must be a whole number from 0 to \(UInt64.max)")
    }
    return number
  }

  func bool(_ key: String) throws(ProtocolError) -> Bool {
    guard let value = try value(key).bool else { throw error(key, "must be true or false") }
    return value
  }

  func optionalBool(_ key: String) throws(ProtocolError) -> Bool? {
    optional(key) == nil ? nil : try bool(key)
  }

  func string(_ key: String, maximum: Int = WireLimits.textBytes) throws(ProtocolError) -> String {
    guard let text = try value(key).string, text.utf8.count <= maximum else {
      throw error(key, "must be a text of at most \(maximum) bytes")
    }
    return text
  }

  func optionalString(_ key: String, maximum: Int) throws(ProtocolError) -> String? {
    optional(key) == nil ? nil : try string(key, maximum: maximum)
  }

  func optionalStrings(
    _ key: String, count: ClosedRange<Int>, maximum: Int
  ) throws(ProtocolError) -> [String]? {
    guard let value = optional(key) else { return nil }
    let texts = value.array?.compactMap(\.string).filter { $0.utf8.count <= maximum }
    guard let texts, texts.count == value.array?.count, count.contains(texts.count) else {
      throw error(
        key, "must be a list of \(count.lowerBound) to \(count.upperBound) texts of at most \(maximum) bytes")
    }
    return texts
  }

  func sha256(_ key: String) throws(ProtocolError) -> String {
    guard let text = try value(key).string, Digest.isSHA256(text) else {
      throw error(key, "must be a SHA-256 in 64 lower-case hexadecimal digits")
    }
    return text
  }

  func optionalSHA256(_ key: String) throws(ProtocolError) -> String? {
    optional(key) == nil ? nil : try sha256(key)
  }

  /// A duration: finite and not negative.
  func seconds(_ key: String) throws(ProtocolError) -> Double {
    guard let number = try value(key).double, number.isFinite, number >= 0 else {
      throw error(key, "must be a number of seconds, 0 or more")
    }
    return number
  }

  /// A Double whose every bit counts, as the 16 hexadecimal digits of its bit pattern.
  func bits(_ key: String) throws(ProtocolError) -> Double {
    guard let text = try value(key).string, let word = Hexadecimal.word(text) else {
      throw error(key, "must be the 16 hexadecimal digits of a double's bits")
    }
    return Double(bitPattern: word)
  }

  /// The bytes behind the body, with the checksum that they should have.
  func payload() throws(ProtocolError) -> (WireSlice, UInt32) {
    guard let piece else { throw ProtocolError(.frames, "\(type.name) has no payload") }
    return (piece, UInt32(truncatingIfNeeded: try integer("crc32c", in: 0...Int(UInt32.max))))
  }

  mutating func object(_ name: String) throws(ProtocolError) -> WireObject {
    guard let object = objects.removeValue(forKey: name) else { throw missing(name) }
    return object
  }

  private func missing(_ name: String) -> ProtocolError {
    ProtocolError(.field, "\(type.name): the object \"\(name)\" is missing")
  }

  /// All objects that have not been taken, by name.
  mutating func remainingObjects() -> [WireObject] {
    defer { objects = [:] }
    return objects.values.sorted { $0.name < $1.name }
  }

  func finish() throws(ProtocolError) {
    guard let name = objects.keys.min() else { return }
    throw ProtocolError(.field, "\(type.name): the object \"\(name)\" does not belong to it")
  }
}

/// Builds the fields of a control body.
struct BodyWriter {
  private(set) var fields: [JSONObject.Member] = []

  mutating func add(_ key: String, _ value: JSONValue) { fields.append(.init(key: key, value: value)) }
  mutating func add(_ key: String, _ value: Int) { add(key, .number(value)) }
  mutating func add(_ key: String, _ value: String) { add(key, .string(value)) }
  mutating func add(_ key: String, _ value: [Int]) { add(key, .numbers(value)) }
  mutating func add(_ key: String, bits value: Double) {
    add(key, .string(Hexadecimal.text(value.bitPattern)))
  }
  mutating func add(checksumOfPayload checksum: UInt32) {
    add("crc32c", Int(checksum))
  }
  mutating func add(_ key: String, ifPresent value: JSONValue?) {
    if let value { add(key, value) }
  }
}
