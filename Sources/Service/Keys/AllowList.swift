import Coordination
import Dispatch
import Files
import Foundation
import Transport

/// The file that says whose keys are let in, read again while the run goes on. It is read on a queue of its own, as its
/// volume may be slow.
final class AllowList: @unchecked Sendable {
  enum News: Sendable {
    case changed([PublicKey: String])
    /// What is wrong with it, told once.
    case unusable(String)
  }

  /// How often it is looked at, in seconds.
  private static let seconds = 1.0

  let path: String
  private let queue = DispatchQueue(label: "keys")
  private let lock = NSLock()
  private var allowed: [PublicKey: String]
  private var lastTrouble: String?
  private var nextLook: Instant? = .zero

  /// - Throws: `ServiceError` or `FileError` that names the file, the line and the remedy.
  init(path: String) throws {
    self.path = path
    allowed = try KeyFile.allowedKeys(path: path)
  }

  /// Those that are allowed: what was last read and could be used.
  var keys: [PublicKey: String] { lock.withLock { allowed } }

  /// Looks whether the file has changed, beside the caller, unless that was done within the last second or goes on.
  func look(now: Instant, tell: @escaping @Sendable (News) -> Void) {
    let isDue = lock.withLock {
      guard let next = nextLook, next <= now else { return false }
      nextLook = nil
      return true
    }
    guard isDue else { return }
    queue.async { [self] in
      let news = read()
      lock.withLock { nextLook = now + Self.seconds }
      if let news { tell(news) }
    }
  }

  /// What is new in the file. All of it is read each time: a time stamp may stay the same over a change.
  func read() -> News? {
    let result = Result { try KeyFile.allowedKeys(path: path, mayBeNobody: true) }
    return lock.withLock {
      switch result {
      case .success(let keys):
        lastTrouble = nil
        guard keys != allowed else { return nil }
        allowed = keys
        return .changed(keys)
      case .failure(let error):
        guard lastTrouble != "\(error)" else { return nil }
        lastTrouble = "\(error)"
        return .unusable("\(error)")
      }
    }
  }
}
