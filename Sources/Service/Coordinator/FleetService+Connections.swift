import Coordination
import WireProtocol

/// Connections that have ended, and whose they were.
extension FleetService {
  /// Peers whose connections may have ended, when they are looked at next, and until when.
  struct ConnectionCheck {
    var peers: Set<PeerID>
    var next: Instant
    var until: Instant
  }

  /// A worker whose connection has ended is sent a PONG, which fails: so its work is given to others at once, and not
  /// when it has been silent for long. ZeroMQ says that a connection has ended a moment before it lets go of it, and what
  /// came over it may still be unread, so that it is looked at more than once. Of the connections of local workers it is
  /// not known whose has ended; these are few.
  func watchConnections(_ now: Instant) {
    let lost = router.takeLostConnections()
    if !lost.isEmpty {
      var peers = connectionCheck?.peers ?? []
      peers.formUnion(lost.peers.filter(fleet.isWorker))
      if lost.hasUncounted { peers.formUnion(localPeers.values) }
      connectionCheck =
        peers.isEmpty
        ? nil : ConnectionCheck(peers: peers, next: connectionCheck?.next ?? now + 0.01, until: now + 0.1)
    }
    guard let check = connectionCheck, check.next <= now else { return }
    for peer in check.peers {
      if let session = fleet.session(of: peer) { send(.pong, to: peer, of: .none, session: session) }
    }
    connectionCheck?.next = now + 0.05
    if check.until <= now { connectionCheck = nil }
  }
}
