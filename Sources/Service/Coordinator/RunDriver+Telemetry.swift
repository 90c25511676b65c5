import Coordination
import Foundation
import JSON
import Logging

/// For those who look after the run: metrics, and what its log lines say of where it stands.
extension RunDriver {
  /// One hand-out is over.
  func count(_ record: EndedAttempt) {
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
    guard service.options.operations.logFormat == .json else { return service.show(text) }
    logger.log(level: .notice, "\(message)", metadata: numbers())
  }
}
