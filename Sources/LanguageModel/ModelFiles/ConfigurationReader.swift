import JSON

/// Takes typed values out of a JSON object; every error names the file, the line and the key.
struct ConfigurationReader {
  let json: JSONValue
  let file: String
  /// The keys on the way to `json`, as in `rope_scaling.`.
  var prefix = ""

  /// No length or count of a model is larger than this; products of two of them fit an `Int` with room to spare.
  static let largestCount = 1 << 30

  func fault(_ key: String, _ reason: String) -> ModelError {
    let line = json.object?.line(of: key).map { "line \($0), " } ?? ""
    return ModelError(file: file, name: "\(line)key \"\(prefix)\(key)\"", reason)
  }

  /// The value, unless it is absent or null.
  func value(_ key: String) -> JSONValue? { json[key].flatMap { $0.isNull ? Optional.none : $0 } }

  func object(_ key: String) throws(ModelError) -> ConfigurationReader? {
    guard let value = value(key) else { return nil }
    guard value.object != nil else { throw fault(key, "must be an object, not \(value.kind)") }
    return ConfigurationReader(json: value, file: file, prefix: "\(prefix)\(key).")
  }

  func string(_ key: String) throws(ModelError) -> String? {
    guard let value = value(key) else { return nil }
    guard let string = value.string else { throw fault(key, "must be a string, not \(value.kind)") }
    return string
  }

  func bool(_ key: String, default standard: Bool) throws(ModelError) -> Bool {
    guard let value = value(key) else { return standard }
    guard let bool = value.bool else { throw fault(key, "must be true or false, not \(value.kind)") }
    return bool
  }

  /// A whole number of at least `minimum`.
  func count(_ key: String, minimum: Int = 1) throws(ModelError) -> Int? {
    guard let value = value(key) else { return nil }
    guard let number = value.int, (minimum...Self.largestCount).contains(number) else {
      throw fault(key, "must be a whole number from \(minimum) to \(Self.largestCount), not \(value.text)")
    }
    return number
  }

  func requiredCount(_ key: String) throws(ModelError) -> Int {
    guard let number = try count(key) else { throw fault(key, "is missing") }
    return number
  }

  func positive(_ key: String) throws(ModelError) -> Double? {
    guard let value = value(key) else { return nil }
    guard let number = value.double, number > 0, number.isFinite else {
      throw fault(key, "must be a number above 0, not \(value.text)")
    }
    return number
  }

  func number(_ key: String) throws(ModelError) -> Double? {
    guard let value = value(key) else { return nil }
    guard let number = value.double, number.isFinite else {
      throw fault(key, "must be a number, not \(value.text)")
    }
    return number
  }

  func requiredPositive(_ key: String) throws(ModelError) -> Double {
    guard let number = try positive(key) else { throw fault(key, "is missing") }
    return number
  }

  func tokenID(_ value: JSONValue, _ key: String) throws(ModelError) -> Int {
    guard let id = value.int, (0...Self.largestCount).contains(id) else {
      throw fault(key, "must be a token id, not \(value.text)")
    }
    return id
  }

  /// One id, a list of ids, or nothing.
  func tokenIDs(_ key: String) throws(ModelError) -> [Int] {
    guard let value = value(key) else { return [] }
    guard let list = value.array else { return [try tokenID(value, key)] }
    var ids: [Int] = []
    for item in list { ids.append(try tokenID(item, key)) }
    return ids
  }
}
