import Protocol

/// What a worker does: join, load, compute, and join again when the coordinator is gone. Pure: the same state, event
/// and time give the same effects.
public struct WorkerCore: Sendable {
  public enum State: Sendable, Equatable {
    case started
    /// HELLO is out; the number of those that were not answered.
    case greeting(unanswered: Int)
    case loading
    case ready
    case computing(job: Int, attempt: Int)
    /// The shard at hand is still finished.
    case leaving(job: Int, attempt: Int)
    case gone
  }

  public let settings: WorkerSettings
  public private(set) var state = State.started
  /// The coordinator's term: the highest that was seen, so that an older coordinator is not listened to again.
  public private(set) var term: UInt64 = 0
  public private(set) var session = SessionID.none

  public init(settings: WorkerSettings) { self.settings = settings }

  public mutating func step(_ event: WorkerEvent, now: Instant) -> [WorkerEffect] { [] }
}
