import JSON

extension Value {
  /// A value as Python's `json` reads it.
  init(_ json: JSONValue) throws(Failure) {
    switch json {
    case .null: self = .none
    case .bool(let flag): self = .bool(flag)
    case .string(let text): self = .string(text)
    case .number(let digits): self = Self.number(digits)
    case .array(let items):
      var values: [Value] = []
      values.reserveCapacity(items.count)
      for item in items { values.append(try Value(item)) }
      self = try .list(values)
    case .object(let object): self = .dict(try Dict(object))
    }
  }

  private static func number(_ digits: String) -> Value {
    if digits.utf8.contains(where: { $0 == 0x2E || $0 == 0x65 || $0 == 0x45 }) {
      return .float(Double(digits) ?? .nan)
    }
    return Int(digits).map { .int($0) } ?? .bigInteger(digits)
  }
}

extension Dict {
  convenience init(_ object: JSONObject) throws(Failure) {
    self.init()
    for member in object.members { try insert(.string(member.key), try Value(member.value)) }
  }
}
