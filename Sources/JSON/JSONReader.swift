/// What is wrong with a JSON text, and where.
public struct JSONError: Error, Sendable, CustomStringConvertible {
  /// 1-based line, and 1-based column counted in bytes.
  public let line: Int
  public let column: Int
  public let reason: String

  public var description: String { "line \(line), column \(column): \(reason)" }
}

extension JSONValue {
  /// Reads one JSON text (RFC 8259), and refuses a key that stands twice in one object.
  ///
  /// - Parameter bytes: UTF-8; a byte-order mark is accepted at the start.
  /// - Parameter maximumDepth: how many arrays and objects may be open at once.
  public init(
    parsing bytes: UnsafeRawBufferPointer, maximumDepth: Int = 128
  ) throws(JSONError) {
    var reader = JSONReader(bytes: bytes, maximumDepth: maximumDepth)
    self = try reader.document()
  }

  public init(parsing text: some Sequence<UInt8>, maximumDepth: Int = 128) throws(JSONError) {
    let result = Array(text).withUnsafeBytes { bytes in
      Result { () throws(JSONError) in try JSONValue(parsing: bytes, maximumDepth: maximumDepth) }
    }
    self = try result.get()
  }

  public init(parsing text: String, maximumDepth: Int = 128) throws(JSONError) {
    try self.init(parsing: text.utf8, maximumDepth: maximumDepth)
  }
}

/// A recursive-descent reader over UTF-8 bytes.
private struct JSONReader {
  let bytes: UnsafeRawBufferPointer
  let maximumDepth: Int
  var at = 0
  var depth = 0
  /// Lines are counted on the way, so that naming a member's line costs nothing extra.
  var line = 1
  var lineStart = 0

  init(bytes: UnsafeRawBufferPointer, maximumDepth: Int) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
    if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { at = 3 }
  }

  mutating func document() throws(JSONError) -> JSONValue {
    skipSpace()
    if at == bytes.count { throw error("there is nothing here; a JSON value was expected") }
    let value = try value()
    skipSpace()
    if at < bytes.count { throw error("unexpected \(shown(at)) after the end of the JSON value") }
    return value
  }

  func error(_ reason: String, at place: Int? = nil) -> JSONError {
    JSONError(line: line, column: (place ?? at) - lineStart + 1, reason: reason)
  }

  func shown(_ place: Int) -> String {
    guard place < bytes.count else { return "end of text" }
    let byte = bytes[place]
    return byte > 0x20 && byte < 0x7F ? "'\(Character(UnicodeScalar(byte)))'" : "byte \(byte)"
  }

  mutating func skipSpace() {
    while at < bytes.count {
      switch bytes[at] {
      case 0x20, 0x09, 0x0D: at += 1
      case 0x0A:
        at += 1
        line += 1
        lineStart = at
      default: return
      }
    }
  }

  mutating func value() throws(JSONError) -> JSONValue {
    guard at < bytes.count else { throw error("the text ends where a value was expected") }
    switch bytes[at] {
    case UInt8(ascii: "{"): return .object(try object())
    case UInt8(ascii: "["): return .array(try array())
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
    default: throw error("unexpected \(shown(at)) where a value was expected")
    }
  }

  mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let n = word.utf8CodeUnitCount
    guard bytes.count - at >= n, (0..<n).allSatisfy({ bytes[at + $0] == word.utf8Start[$0] }) else {
      throw error("unexpected \(shown(at)) where a value was expected")
    }
    at += n
    return value
  }

  mutating func open() throws(JSONError) {
    at += 1
    depth += 1
    if depth > maximumDepth { throw error("more than \(maximumDepth) lists and objects inside each other") }
    skipSpace()
  }

  mutating func array() throws(JSONError) -> [JSONValue] {
    try open()
    defer { depth -= 1 }
    var items: [JSONValue] = []
    if take("]") { return items }
    while true {
      items.append(try value())
      skipSpace()
      if take("]") { return items }
      guard take(",") else { throw error("unexpected \(shown(at)); ',' or ']' was expected") }
      skipSpace()
    }
  }

  mutating func object() throws(JSONError) -> JSONObject {
    try open()
    defer { depth -= 1 }
    var members: [JSONObject.Member] = []
    var seen: Set<[UInt8]>?
    if take("}") { return JSONObject() }
    while true {
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else {
        throw error("unexpected \(shown(at)); a key in quotes was expected")
      }
      let start = at
      let keyLine = line
      let key = try string()
      guard isNew(key, members, &seen) else {
        throw error("the key \"\(key)\" stands twice", at: start)
      }
      skipSpace()
      guard take(":") else { throw error("unexpected \(shown(at)); ':' was expected after \"\(key)\"") }
      skipSpace()
      members.append(.init(key: key, value: try value(), line: keyLine))
      skipSpace()
      if take("}") { return JSONObject(members) }
      guard take(",") else { throw error("unexpected \(shown(at)); ',' or '}' was expected") }
      skipSpace()
    }
  }

  /// How many keys are compared one by one, which costs less than a set of so few.
  private static let few = 24

  /// Whether no member before has this key.
  ///
  /// - Parameter seen: the keys of all members, once they are many
  func isNew(_ key: String, _ members: [JSONObject.Member], _ seen: inout Set<[UInt8]>?) -> Bool {
    if members.count < Self.few { return !members.contains { JSONObject.isSame($0.key, key) } }
    if seen == nil { seen = Set(members.map { Array($0.key.utf8) }) }
    return seen?.insert(Array(key.utf8)).inserted == true
  }

  mutating func take(_ scalar: UnicodeScalar) -> Bool {
    guard at < bytes.count, bytes[at] == UInt8(ascii: scalar) else { return false }
    at += 1
    return true
  }

  mutating func number() throws(JSONError) -> String {
    let start = at
    func isDigit(_ i: Int) -> Bool { i < bytes.count && bytes[i] >= 0x30 && bytes[i] <= 0x39 }
    func digits(from i: Int) -> Int {
      var i = i
      while isDigit(i) { i += 1 }
      return i
    }
    _ = take("-")
    guard isDigit(at) else { throw error("a digit was expected, not \(shown(at))") }
    if bytes[at] == 0x30, isDigit(at + 1) { throw error("a number must not begin with 0") }
    at = digits(from: at)
    if take(".") {
      guard isDigit(at) else { throw error("a digit was expected after '.', not \(shown(at))") }
      at = digits(from: at)
    }
    if take("e") || take("E") {
      if !take("+") { _ = take("-") }
      guard isDigit(at) else { throw error("a digit was expected in the exponent, not \(shown(at))") }
      at = digits(from: at)
    }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  mutating func string() throws(JSONError) -> String {
    at += 1
    let start = at
    while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\"),
      bytes[at] >= 0x20
    {
      at += 1
    }
    if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
      at += 1
      return try utf8(bytes[start..<(at - 1)], start)
    }
    var text = Array(bytes[start..<at])
    while true {
      guard at < bytes.count else { throw error("the text ends inside a string") }
      switch bytes[at] {
      case UInt8(ascii: "\""):
        at += 1
        return try utf8(text[...], start)
      case UInt8(ascii: "\\"):
        at += 1
        try escape(into: &text)
      case 0..<0x20: throw error("a control character must be written as \\u\(hex4(bytes[at])) in a string")
      default:
        text.append(bytes[at])
        at += 1
      }
    }
  }

  func hex4(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return String(repeating: "0", count: 4 - digits.count) + digits
  }

  func utf8(_ slice: some Collection<UInt8>, _ start: Int) throws(JSONError) -> String {
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw error("a string that is not UTF-8", at: start)
    }
    return text
  }

  mutating func escape(into text: inout [UInt8]) throws(JSONError) {
    guard at < bytes.count else { throw error("the text ends inside a string") }
    let letter = bytes[at]
    at += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"): text.append(contentsOf: String(Character(try unicodeEscape())).utf8)
    default: throw error("unknown escape \\\(shown(at - 1)) in a string", at: at - 2)
    }
  }

  /// `\uXXXX`, or a pair of surrogates. A lone surrogate stands for no character; as Python's and Rust's readers
  /// differ on it, it is refused.
  mutating func unicodeEscape() throws(JSONError) -> UnicodeScalar {
    let high = try hexDigits()
    if let scalar = UnicodeScalar(high) { return scalar }
    guard high < 0xDC00, at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"),
      bytes[at + 1] == UInt8(ascii: "u")
    else { throw error("half of a surrogate pair in a string") }
    at += 2
    let low = try hexDigits()
    guard (0xDC00...0xDFFF).contains(low),
      let scalar = UnicodeScalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
    else { throw error("half of a surrogate pair in a string") }
    return scalar
  }

  mutating func hexDigits() throws(JSONError) -> UInt32 {
    guard bytes.count - at >= 4 else { throw error("the text ends inside a string") }
    var value: UInt32 = 0
    for i in at..<(at + 4) {
      guard let digit = Character(UnicodeScalar(bytes[i])).hexDigitValue, bytes[i] < 0x80 else {
        throw error("four hexadecimal digits were expected after \\u", at: i)
      }
      value = value << 4 | UInt32(digit)
    }
    at += 4
    return value
  }
}
