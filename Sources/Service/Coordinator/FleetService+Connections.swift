import Coordination
import Transport
import WireProtocol

/// Connections that have ended, and whose they were.
extension FleetService {
  func watchConnections(_ now: Instant) {
    let lost = router.takeLostConnections()
    if !lost.isEmpty {
      connectionChecks.ended(lost, isWorker: fleet.isWorker, local: localPeers.values, now: now)
    }
    for peer in connectionChecks.due(now) {
      if let session = fleet.session(of: peer) { send(.pong, to: peer, of: .none, session: session) }
    }
  }

  /// A worker whose message is still on its way cannot say that it is there, nor ask whether the coordinator is: its
  /// bytes stand for a PING.
  func hearOfMovements(_ now: Instant) throws {
    guard nextMovements <= now else { return }
    nextMovements = now + MovingMessages.period
    let moving = router.takeMoving()
    for peer in moving.leaving { try handle(.leaving(peer: peer)) }
    for peer in moving.arriving {
      guard let session = fleet.session(of: peer) else { continue }
      try handle(.arriving(peer: peer))
      send(.pong, to: peer, of: .none, session: session)
    }
  }
}
