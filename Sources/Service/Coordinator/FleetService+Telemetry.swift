import Coordination
import Foundation

/// For those who look after the coordinator: health and metrics.
extension FleetService {
  /// One turn of the main loop is over. Everything that only somebody else wants to see is looked up once a second.
  func publishTelemetry(_ now: Instant) {
    telemetry.health.turn()
    guard telemetry.isOpen, now >= nextShow else { return }
    nextShow = now + 1
    var waits: [String] = []
    var states: [String] = []
    for run in drivers.keys.sorted() {
      guard let driver = drivers[run], let status = fleet.status(of: run) else { continue }
      let state = driver.runStatus(status, now: now).state
      driver.metrics.show(status, state: state)
      states.append("\(state): \(status.reason)")
      if let wait = driver.run.activity?.wait {
        waits.append("paused, \(wait.cause.rawValue): \(wait.reason)")
      }
    }
    if stopRequested {
      telemetry.health.notReady("stopping")
    } else if let wait = waits.first, waits.count == drivers.count {
      telemetry.health.notReady(wait)
    } else {
      telemetry.health.ready(states.isEmpty ? "no run is at work" : states.joined(separator: "; "))
    }
  }
}
