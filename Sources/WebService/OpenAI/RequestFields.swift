import JSON

/// The members of a request, each asked for by its name; what nobody has asked for is an error, as nothing that is asked
/// for is to be left undone without a word. A member that is null counts as one that is not there.
struct RequestFields {
  private let members: JSONObject
  /// What stands before a field's name in errors: `method.supervised.`.
  private let prefix: String
  private var known: Set<String> = []

  init(_ members: JSONObject, prefix: String = "") {
    self.members = members
    self.prefix = prefix
  }

  mutating func value(_ name: String) -> JSONValue? {
    known.insert(name)
    return members[name].flatMap { $0.isNull ? nil : $0 }
  }

  mutating func string(_ name: String, atMost length: Int = 1000) throws(OpenAIError) -> String? {
    guard let value = value(name) else { return nil }
    guard let text = value.string, text.utf8.count <= length else {
      throw wrong(name, "a string of at most \(length) bytes", value)
    }
    return text
  }

  mutating func object(_ name: String) throws(OpenAIError) -> JSONObject? {
    guard let value = value(name) else { return nil }
    guard let object = value.object else { throw wrong(name, "an object", value) }
    return object
  }

  mutating func array(_ name: String) throws(OpenAIError) -> [JSONValue]? {
    guard let value = value(name) else { return nil }
    guard let items = value.array else { throw wrong(name, "a list", value) }
    return items
  }

  mutating func bool(_ name: String) throws(OpenAIError) -> Bool? {
    guard let value = value(name) else { return nil }
    guard let isSo = value.bool else { throw wrong(name, "true or false", value) }
    return isSo
  }

  mutating func integer(_ name: String, in range: ClosedRange<Int>) throws(OpenAIError) -> Int? {
    guard let value = value(name) else { return nil }
    guard let number = value.int, range.contains(number) else {
      throw wrong(name, "a whole number from \(range.lowerBound) to \(range.upperBound)", value)
    }
    return number
  }

  mutating func number(_ name: String, in range: ClosedRange<Double>) throws(OpenAIError) -> Double? {
    guard let value = value(name) else { return nil }
    guard let number = value.double, range.contains(number) else {
      throw wrong(name, "a number from \(range.lowerBound) to \(range.upperBound)", value)
    }
    return number
  }

  /// A field that may be there if it asks for nothing that is not done anyway.
  mutating func allow(_ name: String, _ neutral: JSONValue...) throws(OpenAIError) {
    guard let value = value(name), !neutral.contains(value) else { return }
    throw .field(
      prefix + name, "\(prefix)\(name) is not done here: leave it out", code: "unsupported_parameter")
  }

  /// - Throws: `OpenAIError` that names the first member that nobody has asked for.
  func end() throws(OpenAIError) {
    guard let other = members.members.first(where: { !known.contains($0.key) && !$0.value.isNull }) else {
      return
    }
    throw .field(prefix + other.key, "there is no field \(prefix)\(other.key)", code: "unknown_parameter")
  }

  func wrong(_ name: String, _ expected: String, _ value: JSONValue) -> OpenAIError {
    .field(prefix + name, "\(prefix)\(name) must be \(expected), not \(value.text.prefix(80))")
  }
}
