import Coordination
import Foundation
import JSON
import Logging

/// For those who look after the coordinator: health, metrics, and what its log lines say of where it stands.
extension CoordinatorService {
  /// One turn of the main loop is over. Everything that only somebody else wants to see is looked up once a second.
  func publishTelemetry(_ now: Instant) {
    telemetry.health.turn()
    guard telemetry.isOpen, now >= nextShow else { return }
    nextShow = now + 1
    let status = fleet.status
    let state = runStatus(status, now: now).state
    metrics.show(status, state: state)
    if stopRequested {
      telemetry.health.notReady("stopping")
    } else if let wait = run.activity?.wait {
      telemetry.health.notReady("paused, \(wait.cause.rawValue): \(wait.reason)")
    } else {
      telemetry.health.ready("\(state): \(status.reason)")
    }
  }

  /// One hand-out is over.
  func count(_ record: Coordination.AssignmentRecord) {
    metrics.ended(record.outcome)
    logger.debug(
      "hand-out \(record.outcome.rawValue)",
      metadata: [
        "step": "\(record.step)", "attempt": "\(record.attempt)", "worker": "\(record.workerID)",
        "shard": "\(record.firstMicroBatch)-\(record.lastMicroBatch)",
        "tiers": .array(record.tiers.map { "\($0)" }),
        "purpose": "\(record.purpose.rawValue)",
      ])
  }

  /// Progress: for people a line that replaces the one before, for programs a line of the log.
  func tell(_ text: String, _ message: String, _ numbers: @autoclosure () -> Logger.Metadata) {
    guard options.operations.logFormat == .json else { return show(text) }
    logger.log(level: .notice, "\(message)", metadata: numbers())
  }
}
