import Coordination
import WireProtocol

/// Connections that have ended, and whose they were.
extension CoordinatorService {
  /// When connections are looked at next, and until when.
  struct ConnectionCheck {
    var next: Instant
    var until: Instant
  }

  /// Once some connection has ended, every worker is sent a PONG, which fails for the one that it was: so its work is
  /// given to others at once, and not when it has been silent for long. ZeroMQ says that a connection has ended a
  /// moment before it lets go of it, so that they are looked at more than once.
  func watchConnections(_ now: Instant) {
    if router.takeLostConnections() {
      connectionCheck = ConnectionCheck(next: connectionCheck?.next ?? now + 0.01, until: now + 0.1)
    }
    guard let check = connectionCheck, check.next <= now else { return }
    for (peer, session) in fleet.connections { send(.pong, to: peer, session: session) }
    connectionCheck?.next = now + 0.05
    if check.until <= now { connectionCheck = nil }
  }
}
