import Foundation

/// What other threads leave for the one that owns a socket.
final class Mailbox<Letter: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var letters: [Letter] = []
  private let wake: @Sendable () -> Void

  /// - Parameter wake: ends the owner's wait, so that a letter is read at once.
  init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  func post(_ letter: Letter) {
    lock.withLock { letters.append(letter) }
    wake()
  }

  func take() -> [Letter] {
    lock.withLock {
      defer { letters = [] }
      return letters
    }
  }
}
