import JSON

/// What the proxy says at its end: how often it did what.
struct JSONCounts {
  let numbers: [(String, Int)]

  init(_ text: String) throws {
    guard case .object(let object) = try JSONValue(parsing: text) else {
      numbers = []
      return
    }
    numbers = object.members.compactMap { member in member.value.int.map { (member.key, $0) } }
  }
}
