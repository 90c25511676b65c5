import Dispatch
import WireProtocol

#if canImport(Glibc)
  import Glibc
#endif

/// What has come of transfers that did not end, by content: objects that are whole, and the whole segments of one that is
/// not, each held to its digest. When the same content is offered again, on whatever connection and by whomever, it is
/// not sent once more. Bounded in bytes and in time.
///
/// Used by all connections of a socket, one at a time.
public final class KeptObjects: @unchecked Sendable {
  /// An object, or its beginning.
  struct Kept {
    let bytes: [UInt8]
    /// SHA-256 of these bytes.
    let digest: String
    /// Whether every f32 of a whole object is finite.
    let isFinite: Bool?
    let since: Double
  }

  private let limit: Int
  private let seconds: Double
  /// By the SHA-256 of the whole object, and in the order of their coming.
  private var kept: [String: Kept] = [:]
  private var order: [String] = []
  private(set) var byteCount = 0

  public init(settings: TransferSettings = TransferSettings()) {
    limit = settings.keptBytes
    seconds = settings.keptSeconds
  }

  /// Keeps what came of an object; the oldest make room for it.
  func keep(_ kept: Kept, of object: ObjectDeclaration) {
    guard !kept.bytes.isEmpty, kept.bytes.count <= limit else { return }
    _ = remove(object.sha256)
    while byteCount + kept.bytes.count > limit, let oldest = order.first { _ = remove(oldest) }
    self.kept[object.sha256] = kept
    order.append(object.sha256)
    byteCount += kept.bytes.count
  }

  /// Gives back what is here of an object that is offered: all of it, or the segments that it has in common.
  func take(_ object: ObjectDeclaration, now: Double) -> Kept? {
    expire(now: now)
    guard let kept = kept[object.sha256] else { return nil }
    let isWhole = kept.bytes.count == object.byteCount && kept.digest == object.sha256
    guard isWhole || object.hasSegment(endingAt: kept.bytes.count, digest: kept.digest) else { return nil }
    return remove(object.sha256)
  }

  /// Lets go of what nobody has asked for.
  func expire(now: Double) {
    while let oldest = order.first, let since = kept[oldest]?.since, since + seconds < now {
      _ = remove(oldest)
    }
  }

  private func remove(_ sha256: String) -> Kept? {
    guard let gone = kept.removeValue(forKey: sha256) else { return nil }
    order.removeAll { $0 == sha256 }
    byteCount -= gone.bytes.count
    return gone
  }
}
