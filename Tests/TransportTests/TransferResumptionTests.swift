import Digests
import Foundation
import JSON
import Testing

@testable import Transport
@testable import WireProtocol

/// What had come before a connection broke is not sent again.
extension TransferTests {
  private static let segment = WireLimits.segmentBytes

  /// Sends over a connection until so many bytes have gone out, and lets it break.
  private static func broken(
    _ message: Message, after bytes: Int, _ kept: KeptObjects,
    damage: (inout TransferChunk) -> Void = { _ in }
  ) throws {
    var wire = Wire(settings(), .result, kept: kept)
    try wire.sender.add(PreparedMessage(message), address, now: 0)
    while wire.sentBytes < bytes, try wire.send(damage: damage) || wire.receive() || wire.answer() {}
    while try wire.receive() {}
    wire.receiver.salvage(now: 0)
    #expect(wire.receiver.isEmpty && wire.delivered.isEmpty)
  }

  /// A result of three tiers: one of two segments and a rest, an empty one, and one of a segment and a rest.
  private static func result(attempt: Int = 1) -> Message {
    let counts = [(2 * segment + 400_000) / 4, 0, (segment + 4) / 4]
    return .result(
      ResultMessage(
        attempt: attempt, lossSum: 1, tokens: 1, seconds: 0,
        gradients: counts.enumerated().map { tier, count in
          TierGradient(tier: tier, floats: (0..<count).map { Float($0 % 1013 + tier) })
        }))
  }

  private static let resultBytes = 3 * segment + 400_004

  /// Wherever the connection breaks: the segments that had come whole are not sent again, when the same content is
  /// offered over another connection, by whomever, for whatever attempt.
  @Test(arguments: [1, 5, 9, 14]) func goesOnWhereItWas(megabytes: Int) throws {
    let kept = KeptObjects()
    let bytes = min(megabytes << 20, Self.resultBytes - 4)
    try Self.broken(Self.result(), after: bytes, kept)
    let first = 2 * Self.segment + 400_000
    let whole = bytes / Self.segment * Self.segment
    let expected = bytes <= first ? min(whole, first) : first + (bytes - first) / Self.segment * Self.segment
    #expect(kept.byteCount == expected)
    var wire = Wire(Self.settings(), .result, kept: kept)
    let again = Self.result(attempt: 2)
    try wire.sender.add(PreparedMessage(again), Self.address, now: 0)
    try wire.run()
    #expect(wire.delivered == [again] && wire.sender.isIdle && wire.receiver.isEmpty)
    #expect(wire.sentBytes == Self.resultBytes - expected)
    #expect(wire.mostUnderWay <= 1 << 20)
    #expect(kept.byteCount == 0)
  }

  /// All of it is here, and only its acknowledgement was lost: nothing is sent again.
  @Test func nothingIsLacking() throws {
    let kept = KeptObjects()
    guard case .result(let result) = Self.result() else { return }
    for gradient in result.gradients where gradient.values.byteCount > 0 {
      let bytes = gradient.values.withUnsafeBytes { Array($0) }
      kept.keep(
        KeptObjects.Kept(bytes: bytes, digest: gradient.values.sha256, isFinite: true, since: 0),
        of: ObjectDeclaration(gradient.values))
    }
    var wire = Wire(Self.settings(), .result, kept: kept)
    try wire.sender.add(PreparedMessage(.result(result)), Self.address, now: 0)
    try wire.run()
    #expect(wire.delivered == [.result(result)] && wire.sentBytes == 0 && wire.sender.isIdle)
  }

  /// Content that has the first segments in common with nothing here, but claims the same digest, begins anew; and so
  /// does what was damaged within its first segment.
  @Test func otherContentBeginsAnew() throws {
    let kept = KeptObjects()
    try Self.broken(Self.result(), after: 6 << 20, kept)
    guard case .result(let result) = Self.result() else { return }
    let declaration = ObjectDeclaration(result.gradients[0].values)
    #expect(declaration.segments.count == 2 && kept.byteCount == Self.segment)
    // The digest of the whole is claimed, those of the segments are not.
    #expect(kept.take(ObjectDeclaration(result.gradients[2].values), now: 0) == nil)
    let item = try JSONValue(
      parsing:
        #"{"o": [{"name": "tier.0", "bytes": \#(declaration.byteCount), "sha256": "\#(declaration.sha256)"}]}"#
    )
    let liar = try ObjectDeclaration.list(item["o"]?.array ?? [], limits: WireLimits(), bytes: 1 << 30)[0]
    #expect(kept.take(liar, now: 0) == nil && kept.byteCount == Self.segment)
    #expect(kept.take(declaration, now: 0)?.bytes.count == Self.segment)
    try Self.broken(Self.result(), after: 6 << 20, kept) { chunk in
      // Damage that no checksum sees.
      if chunk.object == 0, chunk.offset == 0 {
        chunk = TransferChunk(transfer: 1, object: 0, offset: 0, payload: Self.flip(chunk, place: 3).payload)
      }
    }
    #expect(kept.byteCount == 0)
  }

  /// Damage costs no more than what comes behind the last whole segment.
  @Test func damageGoesBackToItsSegment() throws {
    var wire = Wire(Self.settings(), .result)
    let message = Self.result()
    try wire.sender.add(PreparedMessage(message), Self.address, now: 0)
    var isSpoiled = false
    try wire.run { chunk in
      guard !isSpoiled, chunk.object == 0, chunk.offset == Self.segment + 262_144 else { return }
      isSpoiled = true
      chunk = Self.flip(chunk, place: 9)
    }
    #expect(isSpoiled && wire.delivered == [message])
    #expect(wire.sentBytes < Self.resultBytes + (2 << 20))
  }

  /// What is kept is bounded in bytes and in time.
  @Test func keptForAWhile() {
    var settings = TransferSettings()
    (settings.keptBytes, settings.keptSeconds) = (100, 10)
    let kept = KeptObjects(settings: settings)
    func object(_ value: UInt8, _ count: Int) -> (ObjectDeclaration, KeptObjects.Kept) {
      let object = WireObject(name: "a", bytes: [UInt8](repeating: value, count: count))
      let bytes = object.withUnsafeBytes { Array($0) }
      return (
        ObjectDeclaration(object),
        KeptObjects.Kept(bytes: bytes, digest: object.sha256, isFinite: nil, since: Double(value))
      )
    }
    for value in 1...5 as ClosedRange<UInt8> {
      let (declaration, bytes) = object(value, 40)
      kept.keep(bytes, of: declaration)
      #expect(kept.byteCount <= 100)
    }
    #expect(kept.take(object(3, 40).0, now: 5) == nil && kept.byteCount == 80)
    #expect(kept.take(object(4, 40).0, now: 5)?.bytes.count == 40)
    #expect(kept.take(object(5, 40).0, now: 15.5) == nil && kept.byteCount == 0)
    let (large, bytes) = object(1, 101)
    kept.keep(bytes, of: large)
    #expect(kept.byteCount == 0)
  }
}
