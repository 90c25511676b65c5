import Digests
import Dispatch
import WireProtocol

/// SHA-256 of an object's bytes as they arrive, computed beside the thread that receives them, which otherwise spends
/// a quarter of its time on it. Belongs to one receiver, which asks for the result once.
final class ArrivingDigest: @unchecked Sendable {
  private static let threads = DispatchQueue(label: "digests", attributes: .concurrent)
  /// Pieces one after the other. What there is of small objects is hashed at once, as handing it over costs more.
  private let queue: DispatchQueue?
  /// The queue's, if there is one.
  private var builder = DigestBuilder()
  private var isFinite = true
  /// Pieces that are not hashed yet hold their memory, so that there are never many.
  private let room = DispatchSemaphore(value: 8)

  /// - Parameter byteCount: of the whole object
  init(byteCount: Int) {
    let isLarge = byteCount > WireLimits.chunkBytes
    queue = isLarge ? DispatchQueue(label: "digest", target: Self.threads) : nil
  }

  /// Adds the next piece. It is held until it has been hashed; where hashing is the slower, that is waited for.
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
  }

  /// Waits for the pieces that are not hashed yet: at most the time it would have taken to hash the object here.
  func finish() -> (sha256: String, isFinite: Bool) {
    queue?.sync { (builder.finish(), isFinite) } ?? (builder.finish(), isFinite)
  }
}
