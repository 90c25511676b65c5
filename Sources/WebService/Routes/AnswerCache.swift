import JSON
import NIOCore
import Synchronization

/// Answers as bytes, which serve for all who ask while nothing has changed: making them is what costs.
final class AnswerCache: Sendable {
  private struct Made: Sendable {
    let mark: String
    let bytes: ByteBuffer
    /// What the desk's number of changes was, and the time, when the mark was looked at last.
    var changes: UInt64
    var looked: ContinuousClock.Instant
  }

  private let made = Mutex<[String: Made]>([:])
  /// What the targets of requests that were answered ask for, by its key.
  private let targets = Mutex<[String: String]>([:])
  private static let most = 64
  private static let mostBytes = 1 << 18
  /// An answer serves so long without a look at what it was made from: as long as the fleet takes to tell of itself again,
  /// which is how old the status may be, too.
  static let age = Duration.seconds(1)

  /// What has been made already and depends on the desk alone, or was looked at just now.
  func known(_ key: String, changes: UInt64, now: ContinuousClock.Instant = .now) -> ByteBuffer? {
    guard let known = made.withLock({ $0[key] }), known.changes == changes else { return nil }
    return known.mark.isEmpty || now - known.looked < Self.age ? known.bytes : nil
  }

  /// The same by the target of a request, as it was answered before.
  func known(target: String, changes: UInt64) -> ByteBuffer? {
    targets.withLock { $0[target] }.flatMap { known($0, changes: changes) }
  }

  /// A request with a target asks for what has a key, whenever it comes.
  func remember(_ target: String, asksFor key: String) {
    targets.withLock { targets in
      if targets.count >= Self.most { targets = [:] }
      targets[target] = key
    }
  }

  /// - Parameters:
  ///   - key: what is asked for
  ///   - changes: the number of changes of the desk, as it was before anything else was looked at
  ///   - mark: what else changes whenever the answer may; empty: nothing
  func bytes(
    _ key: String, changes: UInt64, mark: String = "", now looked: ContinuousClock.Instant = .now,
    make: () throws -> JSONValue
  ) throws -> ByteBuffer {
    let known = made.withLock { made -> ByteBuffer? in
      guard let known = made[key], known.mark == mark, known.changes == changes || !mark.isEmpty else {
        return nil
      }
      made[key]?.changes = changes
      made[key]?.looked = looked
      return known.bytes
    }
    if let known { return known }
    let bytes = ByteBuffer(bytes: try make().bytes())
    guard bytes.readableBytes <= Self.mostBytes else { return bytes }
    made.withLock { made in
      if made.count >= Self.most { made = [:] }
      made[key] = Made(mark: mark, bytes: bytes, changes: changes, looked: looked)
    }
    return bytes
  }
}
