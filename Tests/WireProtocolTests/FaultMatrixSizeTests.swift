import Harness
import Testing
import WireProtocol

/// Row 12 of the fault matrix: wrong magic or version, oversize, negative lengths: refused, by kind, before anything is
/// allocated for them; the memory stays flat.
@Suite struct FaultMatrixSizeTests {
  private static func kind(of frames: [[UInt8]]) -> ProtocolError.Kind? {
    var decoder = MessageDecoder()
    return kind(of: frames, decoder: &decoder)
  }

  private static func kind(of frames: [[UInt8]], decoder: inout MessageDecoder) -> ProtocolError.Kind? {
    for frame in frames {
      do {
        try frame.withUnsafeBytes { try decoder.add(frame: $0) }
      } catch {
        return (error as? ProtocolError)?.kind
      }
    }
    return nil
  }

  /// All 65,536 first pairs of bytes, and all 65,536 versions, with right checksums.
  @Test func everyMagicAndVersion() {
    var wrong: [String] = []
    for number in 0...0xFFFF {
      let bytes = [UInt8(number >> 8), UInt8(number & 0xFF)]
      let isMagic = bytes == Array("NL".utf8)
      let magic = Self.kind(of: [bytes + [2, 0]])
      if magic != (isMagic ? nil : .magic) { wrong.append("magic \(bytes): \(String(describing: magic))") }
      let isVersion = bytes == [2, 0]
      let version = Self.kind(of: Forged.header(type: 64, version: bytes))
      if version != (isVersion ? nil : .version) {
        wrong.append("version \(bytes): \(String(describing: version))")
      }
    }
    #expect(wrong == [])
    #expect(Self.kind(of: Forged.frames(type: 64, body: "{}", objects: [])) == nil)
    print("row 12: 65,535 wrong magics and 65,535 wrong versions refused")
  }

  /// Lengths and counts of the header at the edges of what 32 bits hold, those included that a signed reader would take
  /// for negative.
  static let numbers: [UInt32] = [
    1 << 20, (4 << 20) + 1, 1 << 24, .max >> 1, 1 << 31, (1 << 31) + 1, .max - 1, .max,
  ]

  private static func heads(_ number: UInt32) -> [(frames: [[UInt8]], isWithinLimits: Bool)] {
    [
      (Forged.header(type: 24, body: number), number <= 4 << 20),
      (Forged.header(type: 24, objects: number), number <= 16_384),
      (Forged.header(type: 24, payload: number), number <= 262_144),
      (Forged.header(type: 24, objects: number, body: number, payload: number), false),
    ]
  }

  @Test func everyHeaderLength() {
    var refused = 0
    for number in Self.numbers {
      for (frames, isWithinLimits) in Self.heads(number) {
        #expect(Self.kind(of: frames) == (isWithinLimits ? nil : .limit), "\(number)")
        refused += isWithinLimits ? 0 : 1
      }
    }
    print("row 12: \(refused) headers with lengths beyond the limits refused")
  }

  private static func body(bytes: String) -> String {
    """
    {"tier": 0, "version": 0, "digest": "\(Samples.digest)",
     "objects": [{"name": "tier", "bytes": \(bytes), "sha256": "\(Samples.digest)"}]}
    """
  }

  private static func announcement(_ text: String, payload: UInt32) -> [[UInt8]] {
    let body = Array(text.utf8)
    let head = Forged.header(
      type: 24, objects: 1, body: UInt32(body.count), payload: payload, bodyChecksum: Checksums.crc32c(body))
    return head + [body]
  }

  /// Lengths of an object that are negative, no whole numbers, or beyond the limit.
  static let objectLengths = [
    "-1", "-4294967296", "-9223372036854775808", "4294967297", "9223372036854775807", "9223372036854775808",
    "18446744073709551615", "1e18", "1e300", "0.5", "-0.5", "null", "\"4\"", "[4]", "true",
  ]

  /// They are refused, whatever the header counts.
  @Test(arguments: objectLengths) func objectLength(bytes: String) {
    for payload in [0, 1, 4, 262_144] as [UInt32] {
      let kind = Self.kind(of: Self.announcement(Self.body(bytes: bytes), payload: payload))
      #expect(kind == .body || kind == .limit, "\(payload)")
    }
  }

  /// Objects that do not add up to the payload that the header says, one byte off or many.
  @Test(arguments: [0, 1, 7, 9, 262_144] as [UInt32]) func payloadLength(length: UInt32) {
    #expect(Self.kind(of: Self.announcement(Self.body(bytes: "8"), payload: length)) == .body)
    #expect(Self.kind(of: Self.announcement(Self.body(bytes: "8"), payload: 8)) == nil)
  }

  /// The largest payload that is allowed may be announced; objects beyond it are not.
  @Test func largestPayload() {
    #expect(Self.kind(of: Self.announcement(Self.body(bytes: "262144"), payload: 262_144)) == nil)
    #expect(Self.kind(of: Self.announcement(Self.body(bytes: "262145"), payload: 262_144)) == .limit)
  }

  /// What is announced and not sent costs nothing, be it allowed or not: the smallest length above, 256 KiB, would be
  /// seen.
  @Test func announcedAndNeverSent() async {
    await #expect(processExitsWith: .success) {
      let lengths = Self.numbers + [262_144]
      let announced =
        lengths.flatMap { Self.heads($0).map(\.frames) }
        + (Self.objectLengths + ["262144"]).map { Self.announcement(Self.body(bytes: $0), payload: 262_144) }
      for frames in announced {
        let bytes = try OwnMemory.virtualBytes {
          var decoder = MessageDecoder()
          _ = Self.kind(of: frames, decoder: &decoder)
          return decoder
        }
        #expect(bytes < 64 << 10, "\(bytes) bytes for \(frames)")
      }
    }
  }

  /// One hostile message after the other, none with a right length: the memory is the same at the end.
  @Test func memoryStaysFlat() async {
    await #expect(processExitsWith: .success) {
      var messages = Self.numbers.map { Forged.header(type: 24, body: $0) }
      messages += Self.numbers.map { Forged.header(type: 24, objects: $0, payload: $0) }
      messages += ["-1", "4294967297", "1e300"].map { Self.announcement(Self.body(bytes: $0), payload: 1) }
      messages += [[Array("GET / HTTP/1.1".utf8)], [[UInt8](repeating: 0x4E, count: 1 << 20)]]
      let rounds = 20_000
      let growth = try OwnMemory.growth { sample in
        for round in 0..<rounds {
          for frames in messages where Self.kind(of: frames) == nil && frames.count < 2 {
            Issue.record("round \(round): accepted")
          }
          if round % (rounds / 100) == 0 { try sample() }
        }
      }
      #expect(growth < 1 << 20, "\(growth) bytes")
    }
  }
}
