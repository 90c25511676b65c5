import Coordination
import Transport
import WireProtocol

/// Workers whose connections may have ended, and when they are looked at. Pure.
///
/// A worker whose connection has ended is sent a PONG, which fails: so its work is given to others at once, and not when
/// it has been silent for long. ZeroMQ says that a connection has ended a moment before it lets go of it, and what came
/// over it may still be unread, so that it is looked at more than once. Nobody else is sent anything, however many
/// connections of strangers begin and end.
struct ConnectionChecks {
  /// From the end of a connection to the first look, between two looks, and how long it is looked at, in seconds.
  static let firstSeconds = 0.01
  static let periodSeconds = 0.05
  static let lastSeconds = 0.1

  private var peers: Set<PeerID> = []
  private var until = Instant.never
  /// When `due` is to be asked; never, while no connection has ended.
  private(set) var next = Instant.never

  /// Connections have ended.
  ///
  /// - Parameters:
  ///   - isWorker: whether a connection was a worker's.
  ///   - local: the workers of this machine's own socket files. Whose of them has ended is not known; these are few.
  mutating func ended(
    _ lost: LostConnections, isWorker: (PeerID) -> Bool, local: some Sequence<PeerID>, now: Instant
  ) {
    let suspects = lost.peers.filter(isWorker) + (lost.hasUncounted ? Array(local) : [])
    guard !suspects.isEmpty else { return }
    peers.formUnion(suspects)
    if next == .never { next = now + Self.firstSeconds }
    until = now + Self.lastSeconds
  }

  /// Whom to send a PONG now.
  mutating func due(_ now: Instant) -> Set<PeerID> {
    guard next <= now else { return [] }
    defer {
      if until <= now { self = ConnectionChecks() } else { next = now + Self.periodSeconds }
    }
    return peers
  }
}
