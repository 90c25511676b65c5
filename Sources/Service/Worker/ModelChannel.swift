import Coordination
import Dispatch
import Foundation
import WireProtocol

/// What the thread that fetches the model and the one that owns the socket leave for each other, in one session.
final class ModelChannel: @unchecked Sendable {
  /// The session has ended; what has been fetched stays for the next.
  struct Closed: Error {}

  /// Bytes that may lie here unread: more than is ever asked for ahead, with what is asked for again after damage.
  private static let heldBytes = 4 * FileRequest.Limits().windowBytes

  private let lock = NSLock()
  /// Signalled whenever there is something to look at.
  private let news = DispatchSemaphore(value: 0)
  private var messages: [ModelMessage] = []
  private var bytes = 0
  private var failure: String?
  private var isClosed = false
  private let post: @Sendable (ModelMessage) -> Void

  /// - Parameter post: has a message sent by the socket's thread.
  init(post: @escaping @Sendable (ModelMessage) -> Void) { self.post = post }

  func send(_ message: ModelMessage) { post(message) }

  /// By the socket's thread: a message has come.
  func deliver(_ message: ModelMessage) {
    lock.withLock {
      bytes += Self.cost(message)
      if bytes > Self.heldBytes {
        failure = "the coordinator sends more of the base model than it is asked for"
        messages = []
      } else {
        messages.append(message)
      }
    }
    news.signal()
  }

  private static func cost(_ message: ModelMessage) -> Int {
    switch message {
    case .offer(let offer): 4096 + 512 * offer.files.count
    case .credit: 4096
    case .chunk(let chunk): 4096 + chunk.payload.byteCount
    }
  }

  /// By the socket's thread: the coordinator cannot give the model.
  func fail(_ reason: String) {
    lock.withLock {
      failure = reason
    }
    news.signal()
  }

  /// By the socket's thread: the session is over.
  func close() {
    lock.withLock {
      isClosed = true
      messages = []
    }
    news.signal()
  }

  /// The next message, for which this waits.
  ///
  /// - Throws: `Closed` when the session has ended, `ServiceError` if the coordinator cannot go on, or sends nothing for
  ///   so many seconds.
  func receive(seconds: Double) throws -> ModelMessage {
    let end = MonotonicClock.now() + seconds
    repeat { if let message = try take() { return message } } while wait(until: end)
    throw ServiceError("the coordinator has sent nothing of the base model for \(Int(seconds)) s")
  }

  private func take() throws -> ModelMessage? {
    try lock.withLock {
      try check()
      guard !messages.isEmpty else { return nil }
      let message = messages.removeFirst()
      bytes -= Self.cost(message)
      return message
    }
  }

  /// Waits so long, or until the session has ended or the coordinator has failed, which is thrown.
  func pause(seconds: Double) throws {
    let end = MonotonicClock.now() + seconds
    repeat { try lock.withLock { try check() } } while wait(until: end)
  }

  private func check() throws {
    if isClosed { throw Closed() }
    if let failure { throw ServiceError(failure) }
  }

  /// Waits for news or the end.
  ///
  /// - Returns: false at the end.
  private func wait(until end: Instant) -> Bool {
    let left = end.seconds(since: MonotonicClock.now())
    guard left > 0 else { return false }
    _ = news.wait(timeout: .now() + min(left, 1))
    return true
  }
}
