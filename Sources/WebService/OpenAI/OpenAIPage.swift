import JSON

/// A part of a list, as OpenAI's API gives lists out: `?limit=` items after the one with the id `?after=`.
struct OpenAIPage {
  let limit: Int
  let after: String?

  init(_ asked: Asked, limit: Int, most: Int) throws {
    self.limit = try asked.integer("limit", in: 1...most) ?? limit
    after = asked.query("after")
  }

  /// - Parameter items: all of them, in order, with their ids
  /// - Throws: `OpenAIError` if there is no item `after`.
  func list(_ items: [(id: String, json: () throws -> JSONValue)]) throws -> JSONValue {
    var rest = items[...]
    if let after {
      guard let at = items.firstIndex(where: { $0.id == after }) else {
        throw OpenAIError.field("after", "there is nothing with the id \(after.prefix(80))")
      }
      rest = items[(at + 1)...]
    }
    return try Self.list(rest.prefix(limit).map { try $0.json() }, hasMore: rest.count > limit)
  }

  static func list(_ items: [JSONValue], hasMore: Bool) -> JSONValue {
    [
      "object": "list", "data": .array(items), "has_more": .bool(hasMore),
      "first_id": items.first?["id"] ?? .null, "last_id": items.last?["id"] ?? .null,
    ]
  }
}

/// Ids that nobody else has: 24 hexadecimal digits behind what they are of.
enum OpenAIID {
  static func make(_ prefix: String) -> String {
    var digits = ""
    for _ in 0..<24 { digits.append(String(Int.random(in: 0..<16), radix: 16)) }
    return prefix + digits
  }

  static func isOne(_ id: String, _ prefix: String) -> Bool {
    id.hasPrefix(prefix) && id.utf8.count == prefix.utf8.count + 24
      && id.utf8.dropFirst(prefix.utf8.count).allSatisfy {
        (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
      }
  }
}
