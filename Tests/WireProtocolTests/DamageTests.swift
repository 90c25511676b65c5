import Digests
import JSON
import Testing
import WireProtocol

/// Nothing that is damaged, cut, too large or out of order gets through.
@Suite struct DamageTests {
  /// Every bit of both header frames, for a message without and one with chunks.
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

  /// Every bit of the control body and of a chunk, its header included.
  @Test func everyBodyAndChunkBit() throws {
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

  /// Chunks in another order, of another object, or twice.
  @Test func misorderedChunks() throws {
    let frames = try Samples.frames(.parameters(Samples.parameters))
    try #require(frames.count == 5)
    for order in [[0, 1, 2, 4, 3], [0, 1, 2, 3, 3], [0, 1, 2, 4, 4]] {
      #expect { try MessageDecoder.decode(frames: order.map { frames[$0] }) } throws: {
        ($0 as? ProtocolError)?.kind == .chunk
      }
    }
  }

  /// Whole chunks, alike in length, are told apart by their numbers before the object's digest sees it.
  @Test func misorderedWholeChunks() throws {
    var message = Samples.parameters
    message.values = WireObject(name: "tier", floats: (0..<200_000).map { Float($0) })
    let frames = try Samples.frames(.parameters(message))
    try #require(frames.count == 7)
    for order in [[0, 1, 2, 4, 3, 5, 6], [0, 1, 2, 3, 3, 5, 6], [0, 1, 2, 4, 4, 5, 6]] {
      #expect { try MessageDecoder.decode(frames: order.map { frames[$0] }) } throws: {
        ($0 as? ProtocolError)?.kind == .chunk
      }
    }
  }

  /// A chunk of another message, undamaged in itself, is noticed by the object's digest.
  @Test func splicedChunk() throws {
    var other = Samples.parameters
    other.values = WireObject(name: "tier", floats: try Samples.parameters.values.floats().map { $0 + 1 })
    var frames = try Samples.frames(.parameters(Samples.parameters))
    frames[4] = try Samples.frames(.parameters(other))[4]
    #expect { try MessageDecoder.decode(frames: frames) } throws: { ($0 as? ProtocolError)?.kind == .digest }
  }

  /// Chunks that are sound in themselves but too short or too long for their object, or that say another length.
  @Test func chunksOfTheWrongLength() {
    let body = """
      {"tier": 0, "version": 0, "digest": "\(Samples.digest)",
       "objects": [{"name": "tier", "bytes": 8, "sha256": "\(Digest.sha256([UInt8](repeating: 0, count: 8)))"}]}
      """
    func kind(_ count: Int, says: UInt32? = nil) -> ProtocolError.Kind? {
      let payload = [UInt8](repeating: 0, count: count)
      var frames = Forged.frames(type: 24, body: body, objects: [payload])
      if let says {
        let start = Forged.little(0) + Forged.little(0) + Forged.little(says)
        frames[3] = start + Forged.little(Checksums.crc32c(start + payload)) + payload
      }
      do { _ = try MessageDecoder.decode(frames: frames) } catch { return error.kind }
      return nil
    }
    #expect(kind(8) == nil)
    #expect(kind(4) == .chunk)
    #expect(kind(12) == .chunk)
    #expect(kind(8, says: 4) == .chunk)
    #expect(kind(4, says: 8) == .chunk)
    #expect(kind(8, says: .max) == .chunk)
  }

  @Test func notOurs() {
    for frames in [[], [[]], [Array("GET / HTTP/1.1\r\n".utf8)], [[0x4E, 0x4C, 1]]] as [[[UInt8]]] {
      #expect(throws: ProtocolError.self) { try MessageDecoder.decode(frames: frames) }
    }
  }

  /// A newer minor version and another major version are told apart from garbage, and from damage.
  @Test func otherVersions() throws {
    for version in [[2, 0], [1, 2], [0, 0]] as [[UInt8]] {
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
    // Of its own version, a type that came later is none.
    var frames = Forged.header(type: MessageType.accept.rawValue, version: [1, 0])
    frames.append([])
    #expect { try MessageDecoder.decode(frames: frames) } throws: {
      "\($0)".contains("ACCEPT is not used in version 1.0")
    }
    #expect { try MessageDecoder.decode(frames: Forged.frames(type: 200, body: "", objects: [])) } throws: {
      ($0 as? ProtocolError)?.kind == .type
    }
  }
}

/// Messages with right checksums and wrong contents.
enum Forged {
  static func header(
    type: UInt8, objects: UInt32 = 0, body: UInt32 = 0, chunks: UInt32 = 0, bodyChecksum: UInt32 = 0,
    version: [UInt8] = [1, 1]
  ) -> [[UInt8]] {
    let prefix: [UInt8] = [0x4E, 0x4C] + version
    var header: [UInt8] = [type, 0, 0, 0] + little(objects) + [UInt8](repeating: 0, count: 24)
    header += [1, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 8)
    header += little(body) + little(chunks) + little(bodyChecksum)
    return [prefix, header + little(Checksums.crc32c(prefix + header))]
  }

  /// A message whose body is this text and whose objects are these bytes, in whatever way the body describes them.
  static func frames(type: UInt8, body: String, objects: [[UInt8]]) -> [[UInt8]] {
    let text = Array(body.utf8)
    var chunks: [[UInt8]] = []
    for (number, bytes) in objects.enumerated() where !bytes.isEmpty {
      let start = little(UInt32(number)) + little(0) + little(UInt32(bytes.count))
      chunks.append(start + little(Checksums.crc32c(start + bytes)) + bytes)
    }
    let head = header(
      type: type, objects: UInt32(objects.count), body: UInt32(text.count), chunks: UInt32(chunks.count),
      bodyChecksum: Checksums.crc32c(text))
    return head + [text] + chunks
  }

  static func little(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}
