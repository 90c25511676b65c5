import Coordination
import Transport
import WireProtocol

/// Who is let in: what Router and its authenticator do with keys, and the file of --allow-keys while it changes.
extension Simulation {
  /// Whether a worker's connection is let through; if not, it is told so.
  func isLetIn(_ place: Int) -> Bool {
    guard let key = workers[place].plan.key, !allowedKeys.contains(key) else { return true }
    outcome.count("refused at the door")
    tell(place, .refused(reason: Self.refusal, isFinal: true))
    return false
  }

  /// As WorkerService says it.
  static let refusal = "it does not let this worker's public key in"

  func allow(_ key: String) {
    outcome.count(.keyAdded)
    note("\(key) may join")
    struckKeys[key] = nil
    follow()
  }

  func strikeKey(of place: Int, until: Instant) {
    guard let key = workers[place].plan.key else { return }
    struckKeys[key] = now
    follow()
    events.add(.keyAllowed(key), at: until)
  }

  /// The coordinator reads the list.
  private func follow() {
    allowedKeys = AllowedKeys(scenario.keys.keys.filter { struckKeys[$0] == nil })
  }

  /// A worker was welcomed: its key may be known, and must not have more workers than it may.
  func checkKey(of peer: PeerID, _ coordinator: SimulatedCoordinator) {
    guard let key = coordinator.origins[peer]?.key else { return }
    if !coordinator.keysSeen.insert(key).inserted { outcome.count(.identityBack) }
    let count = coordinator.origins.count { $0.value.key == key && coordinator.fleet.isWorker($0.key) }
    if count > 1 { outcome.count(.twinIdentity) }
    if count > scenario.workersOfKey { problem("\(count) workers of one key are here") }
  }

  /// Nobody stays whose key was struck off.
  func watchKeys(_ coordinator: SimulatedCoordinator) {
    for (peer, origin) in coordinator.origins {
      guard let key = origin.key, let time = struckKeys[key], now.seconds(since: time) > 12,
        coordinator.fleet.isWorker(peer)
      else { continue }
      problem("a worker of \(key) is here, which was struck off at \(time)")
    }
  }
}
