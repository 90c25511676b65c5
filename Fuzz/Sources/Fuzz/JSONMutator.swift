import JSON

/// Changes a JSON tree at one to three places.
struct JSONMutator {
  private var state: UInt64
  private var donors: [JSONValue] = []

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func mutated(_ json: JSONValue) -> JSONValue {
    donors = []
    collect(json)
    var result = json
    for _ in 0...below(3) {
      var place = below(donors.count)
      result = changed(result, at: &place)
    }
    return result
  }

  private mutating func below(_ bound: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Int(truncatingIfNeeded: (state >> 11) % UInt64(max(1, bound)))
  }

  private mutating func collect(_ value: JSONValue) {
    donors.append(value)
    for item in value.array ?? [] { collect(item) }
    for member in value.object?.members ?? [] { collect(member.value) }
  }

  /// Changes the value at a place, counted in the order in which the text has them.
  private mutating func changed(_ value: JSONValue, at place: inout Int) -> JSONValue {
    if place < 0 { return value }
    if place == 0 {
      place = -1
      return replacement(of: value)
    }
    place -= 1
    switch value {
    case .array(let items):
      var result: [JSONValue] = []
      for item in items { result.append(changed(item, at: &place)) }
      return .array(result)
    case .object(let object):
      var members = object.members
      for i in members.indices { members[i].value = changed(members[i].value, at: &place) }
      return .object(JSONObject(members))
    default: return value
    }
  }

  private static let numbers = [
    "0", "-1", "1", "2", "255", "256", "65536", "1073741824", "2147483647", "2147483648", "4294967295",
    "9223372036854775807", "-9223372036854775808", "18446744073709551615", "1e18", "1e300", "1e-300", "0.5",
    "1e999",
    "-0.0",
  ]

  private mutating func replacement(of value: JSONValue) -> JSONValue {
    switch (below(8), value) {
    case (0, _): return .null
    case (1, _): return donors[below(donors.count)]
    case (2, _): return .number(Self.numbers[below(Self.numbers.count)])
    case (3, _): return [.array([]), .object(JSONObject()), .string(""), .bool(true)][below(4)]
    case (4...7, .array(let items)): return changed(items)
    case (4...7, .object(let object)): return changed(object)
    case (4...5, .number(let digits)): return nearby(digits)
    case (4...7, .string(let text)): return .string(changed(text))
    case (_, .bool(let flag)): return .bool(!flag)
    default: return .number(Self.numbers[below(Self.numbers.count)])
    }
  }

  private mutating func nearby(_ digits: String) -> JSONValue {
    guard let number = Int(digits) else { return .number("-" + digits) }
    return .number(number &+ below(5) &- 2)
  }

  private mutating func changed(_ items: [JSONValue]) -> JSONValue {
    var items = items
    let place = below(items.count)
    switch below(4) {
    case 0 where !items.isEmpty: items.remove(at: place)
    case 1 where !items.isEmpty: items.insert(items[place], at: place)
    case 2 where !items.isEmpty: items.swapAt(place, below(items.count))
    default: items.append(donors[below(donors.count)])
    }
    return .array(items)
  }

  private mutating func changed(_ object: JSONObject) -> JSONValue {
    var members = object.members
    let place = below(members.count)
    switch below(4) {
    case 0 where !members.isEmpty: members.remove(at: place)
    case 1 where !members.isEmpty: members.swapAt(place, below(members.count))
    case 2 where !members.isEmpty:
      members[place] = .init(key: changed(members[place].key), value: members[place].value)
    default: members.append(.init(key: "key \(below(100))", value: donors[below(donors.count)]))
    }
    return .object(JSONObject(members))
  }

  private mutating func changed(_ text: String) -> String {
    var scalars = Array(text.unicodeScalars)
    let place = below(scalars.count)
    switch below(5) {
    case 0 where !scalars.isEmpty: scalars.remove(at: place)
    case 1 where !scalars.isEmpty: scalars.insert(scalars[place], at: place)
    case 2: scalars += scalars
    case 3: scalars.insert(["\u{E9}", "\u{301}", "\u{1F600}", "\u{0}", "\u{2028}"][below(5)], at: place)
    default: scalars.insert(Unicode.Scalar(UInt8(0x20 + below(95))), at: place)
    }
    return String(String.UnicodeScalarView(scalars))
  }
}
