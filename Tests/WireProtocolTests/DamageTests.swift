import Digests
import Foundation
import JSON
import Testing
import WireProtocol

/// Nothing that is damaged, cut, too large or out of order gets through.
@Suite struct DamageTests {
  /// Every bit of both header frames, for a message without and one with a payload.
  @Test(arguments: [Message.ping, .result(Samples.result)]) func everyHeaderBit(message: Message) throws {
    let frames = try Samples.frames(message)
    for frame in 0...1 {
      for bit in 0..<(frames[frame].count * 8) {
        var damaged = frames
        damaged[frame][bit / 8] ^= 1 << (bit % 8)
        #expect(throws: ProtocolError.self, "frame \(frame), bit \(bit)") {
          try MessageDecoder.decode(frames: damaged)
        }
      }
    }
  }

  /// Every byte of the header, each with every other value.
  @Test func everyHeaderByte() throws {
    let frames = try Samples.frames(.goodbye)
    for frame in 0...1 {
      for place in frames[frame].indices {
        for change in 1...255 {
          var damaged = frames
          damaged[frame][place] ^= UInt8(change)
          #expect(throws: ProtocolError.self) { try MessageDecoder.decode(frames: damaged) }
        }
      }
    }
  }

  /// Every bit of the control body and of the payload.
  @Test func everyBodyAndPayloadBit() throws {
    let frames = try Samples.frames(.result(Samples.result))
    for frame in 2..<frames.count {
      for bit in 0..<(frames[frame].count * 8) {
        var damaged = frames
        damaged[frame][bit / 8] ^= 1 << (bit % 8)
        #expect(throws: ProtocolError.self, "frame \(frame), bit \(bit)") {
          try MessageDecoder.decode(frames: damaged)
        }
      }
    }
  }

  /// Every frame cut short by a byte, made longer by one, left out, repeated; and the message cut after every frame.
  @Test(arguments: Samples.all) func wrongFrames(message: Message) throws {
    let frames = try Samples.frames(message)
    for place in frames.indices {
      var variants = [Array(frames[..<place])]
      var frame = frames
      frame[place].append(0)
      variants.append(frame)
      if !frames[place].isEmpty {
        frame = frames
        frame[place].removeLast()
        variants.append(frame)
      }
      frame = frames
      frame.remove(at: place)
      variants.append(frame)
      frame = frames
      frame.insert(frames[place], at: place)
      variants.append(frame)
      for variant in variants where variant != frames {
        #expect(throws: ProtocolError.self) { try MessageDecoder.decode(frames: variant) }
      }
    }
  }

  /// The objects' bytes in another order, with a right checksum over them: noticed by the objects' digests.
  @Test func misorderedObjects() throws {
    let frames = try Samples.frames(.assign(Samples.assign))
    try #require(frames.count == 4)
    let moved = Array(frames[3][12...] + frames[3][..<12])
    let forged = try Self.withPayload(moved, frames)
    #expect { try MessageDecoder.decode(frames: forged) } throws: { ($0 as? ProtocolError)?.kind == .digest }
  }

  /// The payload of another message, undamaged in itself, is noticed by its checksum, and with that put right by the
  /// object's digest.
  @Test func splicedPayload() throws {
    var other = Samples.parameters
    other.values = WireObject(name: "tier", floats: try Samples.parameters.values.floats().map { $0 + 1 })
    var frames = try Samples.frames(.parameters(Samples.parameters))
    let payload = try Samples.frames(.parameters(other))[3]
    frames[3] = payload
    #expect { try MessageDecoder.decode(frames: frames) } throws: { ($0 as? ProtocolError)?.kind == .payload }
    let forged = try Self.withPayload(payload, frames)
    #expect { try MessageDecoder.decode(frames: forged) } throws: { ($0 as? ProtocolError)?.kind == .digest }
  }

  /// The frames with another payload, whose checksum and all others are right.
  private static func withPayload(_ payload: [UInt8], _ frames: [[UInt8]]) throws -> [[UInt8]] {
    let text = String(decoding: frames[2], as: UTF8.self)
    let mark = try #require(text.range(of: "\"crc32c\":"))
    let digits = text[mark.upperBound...].prefix { $0.isNumber }
    let body = Array(
      text.replacingOccurrences(of: "\"crc32c\":\(digits)", with: "\"crc32c\":\(Checksums.crc32c(payload))")
        .utf8)
    var header = frames[1]
    header.replaceSubrange(48..<52, with: Forged.little(UInt32(body.count)))
    header.replaceSubrange(56..<60, with: Forged.little(Checksums.crc32c(body)))
    header.replaceSubrange(60..., with: Forged.little(Checksums.crc32c(frames[0] + header[..<60])))
    return [frames[0], header, body, payload]
  }

  /// Payloads that are too short or too long for their objects or for the header, and one that nobody has announced.
  @Test func payloadsOfTheWrongLength() {
    let body = """
      {"tier": 0, "version": 0, "digest": "\(Samples.digest)",
       "objects": [{"name": "tier", "bytes": 8, "sha256": "\(Digest.sha256([UInt8](repeating: 0, count: 8)))"}]}
      """
    func kind(_ count: Int, sent: Int? = nil) -> ProtocolError.Kind? {
      var frames = Forged.frames(type: 24, body: body, objects: [[UInt8](repeating: 0, count: count)])
      if let sent { frames = frames.prefix(3) + [[UInt8](repeating: 0, count: sent)] }
      do { _ = try MessageDecoder.decode(frames: frames) } catch { return error.kind }
      return nil
    }
    #expect(kind(8) == nil)
    #expect(kind(0) == .body)
    #expect(kind(4) == .body)
    #expect(kind(12) == .body)
    #expect(kind(8, sent: 4) == .frames)
    #expect(kind(8, sent: 12) == .frames)
    #expect(kind(8, sent: 0) == .frames)
  }

  @Test func notOurs() {
    for frames in [[], [[]], [Array("GET / HTTP/1.1\r\n".utf8)], [[0x4E, 0x4C, 1]]] as [[[UInt8]]] {
      #expect(throws: ProtocolError.self) { try MessageDecoder.decode(frames: frames) }
    }
  }

  /// A newer minor version and another major version are told apart from garbage, and from damage.
  @Test func otherVersions() throws {
    for version in [[1, 1], [2, 1], [3, 0]] as [[UInt8]] {
      var frames = try Samples.frames(.ping)
      frames[0] = [0x4E, 0x4C] + version
      #expect { try MessageDecoder.decode(frames: frames) } throws: {
        ($0 as? ProtocolError)?.kind == .header
      }
      let right = Forged.header(type: 64, version: version) + [[]]
      #expect { try MessageDecoder.decode(frames: right) } throws: {
        ($0 as? ProtocolError)?.kind == .version
      }
    }
  }

  /// Types that later versions use are refused by name.
  @Test func reservedTypes() throws {
    for type in MessageType.allCases where !Samples.all.contains(where: { $0.type == type }) {
      let frames = Forged.frames(type: type.rawValue, body: "", objects: [])
      #expect { try MessageDecoder.decode(frames: frames) } throws: {
        ($0 as? ProtocolError)?.kind == .type && "\($0)".contains(type.name)
      }
    }
    #expect { try MessageDecoder.decode(frames: Forged.frames(type: 200, body: "", objects: [])) } throws: {
      ($0 as? ProtocolError)?.kind == .type
    }
  }
}

/// Messages with right checksums and wrong contents.
enum Forged {
  static func header(
    type: UInt8, objects: UInt32 = 0, body: UInt32 = 0, payload: UInt32 = 0, bodyChecksum: UInt32 = 0,
    version: [UInt8] = [2, 0]
  ) -> [[UInt8]] {
    let prefix: [UInt8] = [0x4E, 0x4C] + version
    var header: [UInt8] =
      [type, 0] + little(min(objects, 0xFFFF)).prefix(2) + [UInt8](repeating: 0, count: 28)
    header += [1, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 8)
    header += little(body) + little(payload) + little(bodyChecksum)
    return [prefix, header + little(Checksums.crc32c(prefix + header))]
  }

  /// A message whose body is this text, with the checksum of the payload, and whose objects are these bytes, in whatever
  /// way the body describes them.
  static func frames(type: UInt8, body: String, objects: [[UInt8]]) -> [[UInt8]] {
    let payload = Array(objects.joined())
    var text = Array(body.utf8)
    if !payload.isEmpty, text.first == UInt8(ascii: "{") {
      text.replaceSubrange(..<1, with: "{\"crc32c\": \(Checksums.crc32c(payload)), ".utf8)
    }
    let head = header(
      type: type, objects: UInt32(objects.count), body: UInt32(text.count), payload: UInt32(payload.count),
      bodyChecksum: Checksums.crc32c(text))
    return head + [text] + (payload.isEmpty ? [] : [payload])
  }

  static func little(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}
