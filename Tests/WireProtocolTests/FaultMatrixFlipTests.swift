import Foundation
import Harness
import Testing
import WireProtocol

/// Row 11 of the fault matrix: every header bit flipped, payload flips: all rejected; no crash in 10^7 frames, and the
/// memory flat.
@Suite struct FaultMatrixFlipTests {
  private static func isRefused(_ frames: [[UInt8]]) -> Bool {
    do {
      // A payload is held to its checksum by whoever can ask for it again.
      switch try MessageDecoder.decode(frames: frames).1 {
      case .transfer(let transfer):
        if case .chunk(let chunk) = transfer.content { return !chunk.isIntact }
        return false
      case .model(.chunk(let chunk)): return !chunk.isIntact
      default: return false
      }
    } catch {
      return true
    }
  }

  /// Each bit of F0 and F1 of one message of each type, alone.
  @Test func everyHeaderBit() throws {
    var count = 0
    var accepted: [String] = []
    for message in Samples.all {
      let frames = try Samples.frames(message)
      for frame in 0...1 {
        for bit in 0..<(frames[frame].count * 8) {
          var damaged = frames
          damaged[frame][bit / 8] ^= 1 << (bit % 8)
          if !Self.isRefused(damaged) { accepted.append("\(message.type.name), frame \(frame), bit \(bit)") }
          count += 1
        }
      }
    }
    #expect(accepted == [])
    print("row 11: \(count) flipped bits in \(Samples.all.count) headers, all refused")
  }

  /// Each pair of bits of a header: CRC-32C finds up to five flips in so few bytes.
  @Test func everyPairOfHeaderBits() throws {
    let frames = try Samples.frames(.resultAck(ResultAck(attempt: 9, outcome: .stale)))
    let head = frames[0] + frames[1]
    var accepted = 0
    for first in 0..<(head.count * 8) {
      for second in 0..<first {
        var damaged = head
        damaged[first / 8] ^= 1 << (first % 8)
        damaged[second / 8] ^= 1 << (second % 8)
        if !Self.isRefused([Array(damaged[..<4]), Array(damaged[4...]), frames[2]]) { accepted += 1 }
      }
    }
    #expect(accepted == 0)
    let pairs = head.count * 8 * (head.count * 8 - 1) / 2
    print("row 11: \(pairs) pairs of flipped bits in a header, all refused")
  }

  /// Each bit of the bodies and payloads of all small messages; of a large one, every 997th.
  @Test func everyBodyAndPayloadBit() throws {
    var count = 0
    var accepted: [String] = []
    for message in Samples.all {
      let frames = try Samples.frames(message)
      let step = frames.reduce(0) { $0 + $1.count } > 10_000 ? 997 * 8 + 1 : 1
      for frame in frames.indices.dropFirst(2) {
        for bit in stride(from: 0, to: frames[frame].count * 8, by: step) {
          var damaged = frames
          damaged[frame][bit / 8] ^= 1 << (bit % 8)
          if !Self.isRefused(damaged) { accepted.append("\(message.type.name), frame \(frame), bit \(bit)") }
          count += 1
        }
      }
    }
    #expect(accepted == [])
    print("row 11: \(count) flipped bits in bodies and payloads, all refused")
  }

  /// What is wrong is named where it is, by the first check that can see it: a payload by its length or its checksum, a body by
  /// its length or its checksum; the object's digest is for what no checksum sees.
  @Test func damageIsFoundWhereItIs() throws {
    func kind(_ change: (inout [[UInt8]]) -> Void) throws -> ProtocolError.Kind? {
      var frames = try Samples.frames(.result(Samples.result))
      change(&frames)
      do {
        _ = try MessageDecoder.decode(frames: frames)
        return nil
      } catch {
        return error.kind
      }
    }
    #expect(try kind { $0[1][8] ^= 1 } == .header)
    #expect(try kind { $0[2][0] ^= 1 } == .body)
    #expect(try kind { $0[2].removeLast() } == .frames)
    #expect(try kind { $0[2].append(0x20) } == .frames)
    #expect(try kind { $0[3][15] ^= 1 } == .payload)
    #expect(try kind { $0[3].removeLast() } == .frames)
    #expect(try kind { $0[3].append(0) } == .frames)
    #expect(try kind { $0.removeLast() } == .frames)
    #expect(try kind { $0.append($0[3]) } == .frames)
  }

  /// Reserved bytes must be zero, even where the checksum is right.
  @Test(arguments: 1...1) func reservedBytes(place: Int) {
    var frames = Forged.header(type: 64)
    frames[1][place] = 1
    frames[1].replaceSubrange(60..., with: Forged.little(Checksums.crc32c(frames[0] + frames[1][..<60])))
    #expect { try MessageDecoder.decode(frames: frames + [[]]) } throws: {
      ($0 as? ProtocolError)?.kind == .header
    }
  }

  /// Random damage, one frame after the other through one process: `NL_FAULT_FRAMES` of them (10^7 for the matrix). A
  /// failure names the seed, which `NL_FAULT_SEED` takes.
  @Test func manyDamagedFrames() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      let environment = ProcessInfo.processInfo.environment
      let wanted = environment["NL_FAULT_FRAMES"].flatMap { Int($0) } ?? 300_000
      try Self.damage(
        wanted, environment["NL_FAULT_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...UInt64.max))
    }
    printOutput(ended?.standardOutputContent)
  }

  private static func damage(_ wanted: Int, _ seed: UInt64) throws {
    print("row 11: seed \(seed)")
    var damage = FrameDamage(seed: seed)
    let messages = try Samples.all.map { try Samples.frames($0) }.filter { $0.count < 16 }
    let small = messages.filter { frames in frames.allSatisfy { $0.count < 10_000 } }
    var (frames, refused, sound) = (0, 0, 0)
    let growth = try OwnMemory.growth { sample in
      while frames < wanted {
        // A large message takes as long as some thousand small ones.
        let original = (damage.below(2000) == 0 ? messages : small)[damage.below(small.count)]
        let damaged = damage.damaged(original)
        let before = frames * 100 / wanted
        frames += damaged.count
        if damaged == original {
          sound += 1
        } else if Self.isRefused(damaged) {
          refused += 1
        } else {
          Issue.record("seed \(seed): damage of a message of type \(original[1][0]) was accepted")
        }
        if frames * 100 / wanted > before { try sample() }
      }
    }
    #expect(growth < 1 << 20, "\(growth) bytes, seed \(seed)")
    let slope = Double(growth) / (Double(wanted) * 0.5) * 1e6
    print(
      "row 11: \(frames) frames, \(refused) damaged messages refused, \(sound) left as they were; resident memory "
        + "grew by \(growth >> 10) KiB: \(Int(slope)) bytes in a million frames")
  }
}

/// Damages messages at random.
struct FrameDamage {
  private var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<max(1, bound), using: &random) }

  /// One to four changes; now and then they cancel out.
  mutating func damaged(_ frames: [[UInt8]]) -> [[UInt8]] {
    var frames = frames
    for _ in 0...below(4) { change(&frames) }
    return frames
  }

  private mutating func change(_ frames: inout [[UInt8]]) {
    guard !frames.isEmpty else { return }
    let place = below(frames.count)
    let length = frames[place].count
    switch below(8) {
    case 0: frames.remove(at: place)
    case 1: frames.insert(frames[place], at: below(frames.count + 1))
    case 2: frames.swapAt(place, below(frames.count))
    case 3: frames[place].removeLast(below(min(length, 16) + 1))
    case 4: frames[place].append(UInt8(below(256)))
    case 5 where length > 0: frames[place][below(length)] = UInt8(below(256))
    default:
      guard length > 0 else { return }
      let bit = below(length * 8)
      frames[place][bit / 8] ^= 1 << (bit % 8)
    }
  }
}
