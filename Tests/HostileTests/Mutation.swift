import Digests
import Harness
import JSON

@testable import WireProtocol

/// Changes one thing in a message, as a worker with a valid key could: any field, any object, or what its envelope says
/// beside the sequence.
struct Mutation {
  static let numbers: [String] = [
    "0", "-1", "1", "2", "3", "4", "255", "256", "257", "4096", "65536", "1048576", "2147483647",
    "2147483648",
    "4294967296", "9007199254740992", "9007199254740993", "9223372036854775806", "9223372036854775807",
    "-9223372036854775808", "9223372036854775808", "18446744073709551615", "1e308", "1e309", "-1e308", "-0",
    "-0.0",
    "0.5", "1e-320", "4.0",
  ]
  /// Bit patterns: 0, −0, 1, the largest, infinities, NaNs, the smallest.
  static let bits: [String] = [
    "0000000000000000", "8000000000000000", "3ff0000000000000", "7fefffffffffffff", "7ff0000000000000",
    "fff0000000000000", "7ff8000000000000", "7ff0000000000001", "0000000000000001", "7fe1ccf385ebc8a0",
  ]
  static let words: [String] = [
    "", "train", "evaluate", "recompute", "collect", "separate", "start", "given", "skip", "none", "copy",
    "sum",
    "committed", "duplicate", "stale", "corrupt", "received", "busy", "parameters", "not_ready", "model",
    "compute",
    "unknown_session", "quarantined", "draining", "full", "\u{0}", "é", String(repeating: "x", count: 4097),
  ]
  static let names: [String] = [
    "tier", "tier.0", "tier.1", "tier.0.0", "tier.0.1", "tier.1.0", "tier.1.1", "tier.2", "tier.1023.1048575",
    "chain.0.0", "chain.1.0", "chain.1.1", "tokens.0", "labels.1", "offsets.0", "", "tier.-1", "tier.01",
  ]

  /// A place in a body: keys and list positions on the way to it.
  private enum Step {
    case member(Int)
    case item(Int)
  }

  var random: SplitMix64

  /// - Parameter others: messages to take values from, so that what is wrong here is right elsewhere.
  mutating func change(_ message: inout RawMessage, others: [RawMessage]) {
    let other = others.isEmpty ? message : others[random.next(below: others.count)]
    switch random.next(below: 20) {
    case 0, 1: changeEnvelope(&message.envelope, other.envelope)
    case 2, 3, 4, 5:
      if message.objects.isEmpty { changeFields(&message, other) } else { changeObjects(&message) }
    case 6 where message.piece != nil:
      message.piece = [UInt8](repeating: 1, count: [0, 1, 3, 4, 262_144, 262_145][random.next(below: 6)])
    case 7: message.fields = other.fields
    default: changeFields(&message, other)
    }
  }

  private mutating func changeEnvelope(_ envelope: inout Envelope, _ other: Envelope) {
    switch random.next(below: 7) {
    case 0:
      let term: UInt64 = [0, 1, 3, 4, 5, .max, 1 << 63][random.next(below: 7)]
      envelope.work = RunTerm(envelope.work.run, term: term)
    case 5:
      let run: UInt32 = [0, 1, 2, .max][random.next(below: 4)]
      envelope.work = RunTerm(RunNumber(run), term: envelope.work.term)
    case 1: envelope.session = [.none, other.session][random.next(below: 2)]
    case 2: envelope.correlation = [0, 1, .max][random.next(below: 3)]
    case 3: envelope.minor = UInt8(random.next(below: 3))
    case 4: envelope.session = SessionID(high: random.next(), low: random.next())
    default: envelope.type = MessageType.allCases[random.next(below: MessageType.allCases.count)]
    }
  }

  // MARK: - Objects

  private mutating func changeObjects(_ message: inout RawMessage) {
    let place = random.next(below: message.objects.count)
    let object = message.objects[place]
    var bytes = object.withUnsafeBytes { Array($0) }
    switch random.next(below: 9) {
    case 0: message.objects.remove(at: place)
    case 1: message.objects.append(object)
    case 2:
      message.objects.append(
        WireObject(name: Self.names[random.next(below: Self.names.count)], bytes: bytes))
    case 3:
      message.objects[place] = WireObject(
        name: Self.names[random.next(below: Self.names.count)], bytes: bytes)
    case 4: message.objects[place] = WireObject(name: object.name, bytes: bytes + [0, 0, 128, 63])
    case 5: message.objects[place] = WireObject(name: object.name, bytes: Array(bytes.dropLast(4)))
    case 6: message.objects[place] = WireObject(name: object.name, bytes: Array(bytes.dropLast(1)))
    case 7: message.objects[place] = WireObject(name: object.name, bytes: [])
    default:
      // Another value: a token, a label, an offset, or a false gradient that is not finite.
      guard bytes.count >= 4 else { return }
      let at = random.next(below: bytes.count / 4) * 4
      let words: [UInt32] = [
        0, 1, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x8000_0000, .max, 0x7FFF_FFFF, 0xFFFF_FF9C,
      ]
      let word = words[random.next(below: words.count)]
      withUnsafeBytes(of: word.littleEndian) { for (i, byte) in $0.enumerated() { bytes[at + i] = byte } }
      message.objects[place] = WireObject(name: object.name, bytes: bytes)
    }
  }

  // MARK: - Fields

  private mutating func changeFields(_ message: inout RawMessage, _ other: RawMessage) {
    var paths: [[Step]] = []
    Self.collect(message.fields, [], &paths)
    guard let path = paths.isEmpty ? nil : paths[random.next(below: paths.count)] else {
      return changeEnvelope(&message.envelope, other.envelope)
    }
    change(&message.fields, path[...], other.fields)
  }

  private static func collect(_ value: JSONValue, _ path: [Step], _ paths: inout [[Step]]) {
    if !path.isEmpty { paths.append(path) }
    switch value {
    case .array(let items):
      for place in items.indices.prefix(8) { collect(items[place], path + [.item(place)], &paths) }
    case .object(let object):
      for place in object.members.indices {
        collect(object.members[place].value, path + [.member(place)], &paths)
      }
    default: break
    }
  }

  private mutating func change(_ value: inout JSONValue, _ path: ArraySlice<Step>, _ other: JSONValue) {
    switch (path.first, value) {
    case (.member(let place), .object(let object)):
      var members = object.members
      if path.count == 1, random.next(below: 12) == 0 {
        changeMembers(&members, place)
      } else {
        let twin = other[members[place].key] ?? other
        change(&members[place].value, path.dropFirst(), twin)
      }
      value = .object(JSONObject(members))
    case (.item(let place), .array(var items)):
      if path.count == 1, random.next(below: 3) == 0 {
        changeItems(&items, place)
      } else {
        change(&items[place], path.dropFirst(), other.array?.first ?? other)
      }
      value = .array(items)
    default: value = changed(value, other)
    }
  }

  private mutating func changeMembers(_ members: inout [JSONObject.Member], _ place: Int) {
    switch random.next(below: 3) {
    case 0: members.remove(at: place)
    case 1:
      members.append(.init(key: members[place].key, value: members[random.next(below: members.count)].value))
    default: members[place] = .init(key: members[place].key + "_", value: members[place].value)
    }
  }

  private mutating func changeItems(_ items: inout [JSONValue], _ place: Int) {
    switch random.next(below: 6) {
    case 0: items.remove(at: place)
    case 1: items.append(items[place])
    case 2: items.reverse()
    case 3: items = []
    case 4 where random.next(below: 20) == 0: items = Array(repeating: items[place], count: 5000)
    default: items.swapAt(place, random.next(below: items.count))
    }
  }

  private mutating func changed(_ value: JSONValue, _ other: JSONValue) -> JSONValue {
    switch value {
    case .number:
      if let number = value.int, random.next(below: 2) == 0 {
        let near = [
          number &+ 1, number &- 1, number &+ 2, number &* 2, 0 &- number, other.int ?? number &+ 1,
        ]
        return .number(near[random.next(below: near.count)])
      }
      return .number(Self.numbers[random.next(below: Self.numbers.count)])
    case .string(let text):
      if random.next(below: 3) == 0, case .string = other { return other }
      if text.utf8.count == 16 { return .string(Self.bits[random.next(below: Self.bits.count)]) }
      if Digest.isSHA256(text) {
        let digits: Character = ["0", "f", "A"][random.next(below: 3)]
        return .string(String(repeating: digits, count: 63 + random.next(below: 4) % 3))
      }
      let known = random.next(below: 2) == 0 ? Self.words : Self.names
      return .string(known[random.next(below: known.count)])
    case .bool(let flag): return .bool(!flag)
    case .null, .array, .object:
      let all: [JSONValue] = [.null, [], [:], "", true, 0, other]
      return all[random.next(below: all.count)]
    }
  }
}
