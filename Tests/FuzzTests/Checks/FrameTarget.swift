import Digests
import Foundation
import Kernels
import WireProtocol

extension FuzzTarget {
  /// Frames through the decoder. A message that is accepted must be encoded again, to the same bytes each time.
  static let frames = FuzzTarget(name: "frames") { input in
    var reader = InputReader(input)
    let repair = FrameRepair(rawValue: reader.byte())
    var frames = reader.parts(atMost: 64)
    repair.apply(to: &frames)
    var limits = WireLimits()
    if repair.contains(.smallLimits) {
      (limits.bodyBytes, limits.objects, limits.objectBytes, limits.messageBytes) = (512, 3, 64, 100)
    }
    guard let (envelope, message) = try? MessageDecoder.decode(frames: frames, limits: limits) else {
      return nil
    }
    do {
      let encoded = try EncodedMessage(message, envelope: envelope).frames
      let (again, copy) = try MessageDecoder.decode(frames: encoded)
      if again != envelope { return "\(envelope) became \(again)" }
      let twice = try EncodedMessage(copy, envelope: again).frames
      return twice == encoded ? nil : "\(message.type.name) is not encoded to the same bytes twice"
    } catch {
      return "\(message.type.name) was decoded and is not, once encoded again: \(error)"
    }
  }
}

/// Which checksums, lengths and digests of an input are put right, so that the rules behind them are reached too.
struct FrameRepair: OptionSet {
  let rawValue: UInt8

  static let magic = FrameRepair(rawValue: 1)
  static let headerChecksum = FrameRepair(rawValue: 2)
  static let bodyChecksum = FrameRepair(rawValue: 4)
  static let lengths = FrameRepair(rawValue: 8)
  static let digests = FrameRepair(rawValue: 16)
  static let chunkChecksums = FrameRepair(rawValue: 32)
  /// Each chunk's payload is repeated until it is as long as its header says, up to a full chunk.
  static let fullChunks = FrameRepair(rawValue: 64)
  /// Not a repair: limits that a small input can exceed.
  static let smallLimits = FrameRepair(rawValue: 128)

  func apply(to frames: inout [[UInt8]]) {
    if contains(.magic), !frames.isEmpty { frames[0] = [0x4E, 0x4C, 1, frames[0].last ?? 0] }
    for place in frames.indices.dropFirst(3) where frames[place].count >= 16 {
      if contains(.fullChunks) { Self.fill(&frames[place]) }
      if contains(.lengths) { frames[place].put(frames[place].count - 16, at: 8) }
      if contains(.chunkChecksums) {
        frames[place].put(Int(CRC32C.of(frames[place][..<12], frames[place][16...])), at: 12)
      }
    }
    guard frames.count >= 3, frames[1].count == 64 else { return }
    if contains(.digests) { Self.repairDigests(&frames) }
    if contains(.lengths) {
      frames[1].put(frames[2].count, at: 48)
      frames[1].put(frames.count - 3, at: 52)
    }
    if contains(.bodyChecksum) { frames[1].put(Int(CRC32C.of(frames[2][...])), at: 56) }
    if contains(.headerChecksum) {
      frames[1].put(Int(CRC32C.of(frames[0][...], frames[1][..<60])), at: 60)
    }
  }

  private static func fill(_ frame: inout [UInt8]) {
    let payload = Array(frame[16...])
    let length = min(frame.number(at: 8), WireLimits.chunkBytes)
    guard !payload.isEmpty, length > payload.count else { return }
    for place in payload.count..<length { frame.append(payload[place % payload.count]) }
  }

  /// Writes the digest of the n-th object's chunks over the n-th digest of the body.
  private static func repairDigests(_ frames: inout [[UInt8]]) {
    var objects: [Int: [UInt8]] = [:]
    for frame in frames.dropFirst(3) where frame.count >= 16 {
      objects[frame.number(at: 0), default: []] += frame[16...]
    }
    let mark = Array(#""sha256":""#.utf8)
    var place = 0
    var number = 0
    while let found = frames[2][place...].firstRange(of: mark) {
      place = found.upperBound
      guard place + 64 <= frames[2].count else { return }
      frames[2].replaceSubrange(place..<(place + 64), with: Digest.sha256(objects[number] ?? []).utf8)
      number += 1
    }
  }
}

extension [UInt8] {
  /// A little-endian number of four bytes.
  fileprivate func number(at place: Int) -> Int {
    (0..<4).reduce(0) { $0 | Int(self[place + $1]) << (8 * $1) }
  }

  fileprivate mutating func put(_ number: Int, at place: Int) {
    for i in 0..<4 { self[place + i] = UInt8(truncatingIfNeeded: number >> (8 * i)) }
  }
}

/// CRC-32C of pieces, one behind the other.
private enum CRC32C {
  static func of(_ pieces: ArraySlice<UInt8>...) -> UInt32 {
    pieces.reduce(0) { crc, piece in
      piece.withUnsafeBufferPointer { nl_crc32c(crc, $0.baseAddress, $0.count) }
    }
  }
}
