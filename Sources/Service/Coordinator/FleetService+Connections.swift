import Coordination
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
}
