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
  static let payloadChecksum = FrameRepair(rawValue: 32)
  /// The payload is repeated until it is as long as the header says, as far as one can be.
  static let fullPayload = FrameRepair(rawValue: 64)
  /// Not a repair: limits that a small input can exceed.
  static let smallLimits = FrameRepair(rawValue: 128)

  func apply(to frames: inout [[UInt8]]) {
    if contains(.magic), !frames.isEmpty { frames[0] = [0x4E, 0x4C, 1, frames[0].last ?? 0] }
    guard frames.count >= 3, frames[1].count == 64 else { return }
    if contains(.fullPayload), frames.count > 3 { Self.fill(&frames[3], frames[1].number(at: 52)) }
    if contains(.digests) { Self.repairDigests(&frames) }
    if contains(.payloadChecksum), frames.count > 3 {
      Self.put("\(CRC32C.of(frames[3][...]))", behind: #""crc32c":"#, of: &frames[2])
    }
    if contains(.lengths) {
      frames[1].put(frames[2].count, at: 48)
      frames[1].put(frames.count > 3 ? frames[3].count : 0, at: 52)
    }
    if contains(.bodyChecksum) { frames[1].put(Int(CRC32C.of(frames[2][...])), at: 56) }
    if contains(.headerChecksum) {
      frames[1].put(Int(CRC32C.of(frames[0][...], frames[1][..<60])), at: 60)
    }
  }

  private static func fill(_ payload: inout [UInt8], _ length: Int) {
    let bytes = payload
    let length = min(length, WireLimits.payloadBytes)
    guard !bytes.isEmpty, length > bytes.count else { return }
    for place in bytes.count..<length { payload.append(bytes[place % bytes.count]) }
  }

  /// Writes the digests of the objects, as long as the body says they are, over those in the body.
  private static func repairDigests(_ frames: inout [[UInt8]]) {
    var rest = (frames.count > 3 ? frames[3] : [])[...]
    var place = 0
    while let found = frames[2][place...].firstRange(of: Array(#""bytes":"#.utf8)) {
      let digits = frames[2][found.upperBound...].prefix { (0x30...0x39).contains($0) }.prefix(9)
      place = found.upperBound
      let bytes = rest.prefix(digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
      rest = rest.dropFirst(bytes.count)
      guard let mark = frames[2][place...].firstRange(of: Array(#""sha256":""#.utf8)),
        mark.upperBound + 64 <= frames[2].count
      else { return }
      place = mark.upperBound
      frames[2].replaceSubrange(place..<(place + 64), with: Digest.sha256(Array(bytes)).utf8)
    }
  }

  /// Writes a number in place of that behind a mark, if there is one.
  private static func put(_ number: String, behind mark: String, of body: inout [UInt8]) {
    guard let found = body.firstRange(of: Array(mark.utf8)) else { return }
    let digits = body[found.upperBound...].prefix { (0x30...0x39).contains($0) }
    body.replaceSubrange(digits.startIndex..<digits.endIndex, with: number.utf8)
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
