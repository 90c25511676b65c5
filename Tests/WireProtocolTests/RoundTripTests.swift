import Foundation
import JSON
import Testing
import WireProtocol

/// What is decoded is what was encoded, bit for bit.
@Suite struct RoundTripTests {
  @Test(arguments: Samples.all) func everyMessage(message: Message) throws {
    let (envelope, decoded) = try MessageDecoder.decode(frames: Samples.frames(message))
    #expect(envelope == Samples.envelope(message.type))
    #expect(decoded == message)
  }

  /// A side reads its own minor version and the one before; what a later one adds it does not read.
  @Test func minorVersions() throws {
    var later = WireLimits()
    later.minor = 1
    for message in Samples.all {
      var envelope = Samples.envelope(message.type)
      envelope.minor = 1
      let frames = try EncodedMessage(message, envelope: envelope).frames
      #expect(frames[0] == [0x4E, 0x4C, 2, 1])
      #expect(String(decoding: frames[2], as: UTF8.self).contains("of_minor"))
      let (decoded, same) = try MessageDecoder.decode(frames: frames, limits: later)
      #expect(decoded == envelope && same == message)
      // A program of this version says so, whatever it is.
      #expect { try MessageDecoder.decode(frames: frames) } throws: {
        ($0 as? ProtocolError)?.kind == .version
      }
      // And the later one reads this one's.
      #expect(try MessageDecoder.decode(frames: Samples.frames(message), limits: later).1 == message)
    }
  }

  /// Optional fields that are absent stay absent.
  @Test func absentFields() throws {
    var hello = Samples.hello
    hello.localIndex = nil
    hello.modelSHA256 = nil
    var assign = Samples.assign
    assign.dropoutSeed = nil
    for message in [Message.hello(hello), .assign(assign), .error(ErrorMessage(code: .model, reason: ""))] {
      #expect(try MessageDecoder.decode(frames: Samples.frames(message)).1 == message)
    }
  }

  /// Bits that decimal text would lose: signed zero, subnormal, infinity, NaN.
  @Test(arguments: [
    0.1 + 0.2, -0.0, .leastNonzeroMagnitude, -.infinity, .nan, Double(bitPattern: 0x7FF0_0000_0000_0001),
  ])
  func lossSumKeepsItsBits(value: Double) throws {
    var result = Samples.result
    result.lossSum = value
    let (_, message) = try MessageDecoder.decode(frames: Samples.frames(.result(result)))
    guard case .result(let decoded) = message else { return #expect(Bool(false), "not a result") }
    #expect(decoded.lossSum.bitPattern == value.bitPattern)
    #expect(try decoded.gradients[0].values.floats().map(\.bitPattern) == [0x3F80_0000, 0x8000_0000, 1])
  }

  /// Objects travel in one frame, one behind the other; objects without bytes in none. What does not fit is refused:
  /// it is to be transferred.
  @Test(arguments: [0, 4, 262_140, 262_144, 262_148])
  func objectsTravelInOneFrame(bytes: Int) throws {
    let values = (0..<(bytes / 4)).map { Float($0) * 0.5 }
    let message = Message.parameters(
      ParametersMessage(
        tier: 0, version: 0, digest: Samples.digest, values: WireObject(name: "tier", floats: values)))
    guard bytes <= 262_144 else {
      #expect { try Samples.frames(message) } throws: { ($0 as? ProtocolError)?.kind == .limit }
      return
    }
    let frames = try Samples.frames(message)
    #expect(frames.dropFirst(3).map(\.count) == (bytes == 0 ? [] : [bytes]))
    guard case .parameters(let decoded) = try MessageDecoder.decode(frames: frames).1 else {
      return #expect(Bool(false), "not parameters")
    }
    #expect(try decoded.values.floats() == values)
  }

  /// No message has more than four frames, whatever it carries.
  @Test(arguments: Samples.all) func atMostFourFrames(message: Message) throws {
    #expect(try (3...4).contains(Samples.frames(message).count))
  }

  /// The fixed header byte by byte, as PROTOCOL.md lays it out; the checksum is CRC-32C (RFC 3720), computed here
  /// from its polynomial.
  @Test func headerLayout() throws {
    let frames = try Samples.frames(.ping)
    var expected: [UInt8] = [64, 0, 0, 0, 1, 0, 0, 0]
    expected += [7, 0, 0, 0, 0, 0, 0, 0]
    expected += [
      0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01, 0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE,
    ]
    expected += [42, 0, 0, 0, 0, 0, 0, 0, 41, 0, 0, 0, 0, 0, 0, 0]
    expected += [UInt8](repeating: 0, count: 12)
    let checksum = Checksums.crc32c(frames[0] + expected)
    expected += (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * $0)) }
    #expect(frames == [[0x4E, 0x4C, 2, 0], expected, []])
  }
}

/// CRC-32C bit by bit.
enum Checksums {
  static func crc32c(_ bytes: [UInt8]) -> UInt32 {
    var crc = ~UInt32(0)
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
    }
    return ~crc
  }
}
