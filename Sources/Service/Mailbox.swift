import Foundation

/// What other threads leave for the one that owns a socket.
final class Mailbox<DriverEvent: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var letters: [DriverEvent] = []
  private let wake: @Sendable () -> Void

  /// - Parameter wake: ends the owner's wait, so that a event is read at once.
  init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  func post(_ event: DriverEvent) {
    lock.withLock { letters.append(event) }
    wake()
  }

  func take() -> [DriverEvent] {
    lock.withLock {
      defer { letters = [] }
      return letters
    }
  }
}
