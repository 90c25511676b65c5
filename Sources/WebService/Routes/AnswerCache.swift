import JSON
import NIOCore
import Synchronization

/// Answers as bytes, which serve for all who ask while nothing has changed: making them is what costs.
final class AnswerCache: Sendable {
  private struct Made: Sendable {
    let mark: String
    let bytes: ByteBuffer
  }

  private let made = Mutex<[String: Made]>([:])
  private static let most = 64
  private static let mostBytes = 1 << 18

  /// What has been made already.
  func known(_ key: String, mark: String) -> ByteBuffer? {
    guard let known = made.withLock({ $0[key] }), known.mark == mark else { return nil }
    return known.bytes
  }

  /// - Parameters:
  ///   - key: what is asked for
  ///   - mark: what changes whenever the answer may
  func bytes(_ key: String, mark: String, make: () throws -> JSONValue) throws -> ByteBuffer {
    if let known = known(key, mark: mark) { return known }
    let bytes = ByteBuffer(bytes: try make().bytes())
    guard bytes.readableBytes <= Self.mostBytes else { return bytes }
    made.withLock { made in
      if made.count >= Self.most { made = [:] }
      made[key] = Made(mark: mark, bytes: bytes)
    }
    return bytes
  }
}
