import Digests
import Dispatch
import WireProtocol

/// SHA-256 of an object's bytes as they arrive, held to the digests of its segments, and computed beside the thread that
/// receives them, which otherwise spends a quarter of its time on it. Belongs to one receiver, which asks for the result
/// once.
final class ArrivingDigest: @unchecked Sendable {
  private static let threads = DispatchQueue(label: "digests", attributes: .concurrent)
  private let object: ObjectDeclaration
  /// Pieces one after the other. What there is of small objects is hashed at once, as handing it over costs more.
  private let queue: DispatchQueue?
  /// The queue's, if there is one.
  private var builder = DigestBuilder()
  private var isFinite = true
  private var count = 0
  /// Bytes at the beginning that are what was offered, and their digest.
  private var verified = (count: 0, digest: "")
  private var isDamaged = false
  /// Pieces that are not hashed yet hold their memory, so that there are never many.
  private let room = DispatchSemaphore(value: 8)

  init(of object: ObjectDeclaration) {
    self.object = object
    let isLarge = object.byteCount > WireLimits.chunkBytes
    queue = isLarge ? DispatchQueue(label: "digest", target: Self.threads) : nil
  }

  /// Adds the next piece, within a segment. It is held until it has been hashed; where hashing is the slower, that is
  /// waited for.
  func update(_ piece: WireSlice) {
    guard let queue else { return take(piece) }
    room.wait()
    queue.async {
      self.take(piece)
      self.room.signal()
    }
  }

  private func take(_ piece: WireSlice) {
    piece.withUnsafeBytes {
      builder.update($0)
      // Pieces are whole numbers of f32 values, but for the last of what has none in it.
      isFinite = isFinite && $0.areFiniteFloats
    }
    count += piece.byteCount
    guard count % WireLimits.segmentBytes == 0, count < object.byteCount, !object.segments.isEmpty else {
      return
    }
    let digest = builder.finish()
    if !isDamaged, object.hasSegment(endingAt: count, digest: digest) {
      verified = (count, digest)
    } else {
      isDamaged = true
    }
  }

  /// Waits for the pieces that are not hashed yet: at most the time it would have taken to hash the object here.
  func finish() -> (sha256: String, isFinite: Bool) {
    onQueue { (builder.finish(), isFinite) }
  }

  /// The whole segments that have come undamaged: bytes from the beginning, and their digest. Waits likewise.
  func verifiedSegments() -> (count: Int, digest: String) { onQueue { verified } }

  private func onQueue<R>(_ body: () -> R) -> R { queue?.sync(execute: body) ?? body() }
}
