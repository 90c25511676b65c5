import Coordination
import Foundation
import Logging

/// How far a fetch has come, for the log and for the coordinator.
struct FetchProgress {
  private static let seconds = 10.0

  private let totalBytes: Int
  private let logger: Logger
  /// Bytes that are there.
  private(set) var bytes = 0
  private var fetched = 0
  private let started = MonotonicClock.now()
  private var lastSaid = MonotonicClock.now()
  private var lastReported = MonotonicClock.now()

  init(totalBytes: Int, logger: Logger) {
    self.totalBytes = totalBytes
    self.logger = logger
  }

  /// - Parameter fetched: whether they came now, and were not there before.
  mutating func add(_ count: Int, fetched isFetched: Bool) {
    bytes += count
    if isFetched { fetched += count }
    let now = MonotonicClock.now()
    guard now.seconds(since: lastSaid) >= Self.seconds, fetched > 0 else { return }
    lastSaid = now
    let rate = Double(fetched) / now.seconds(since: started)
    let left = ProgressLine.duration(Double(totalBytes - bytes) / rate)
    logger.info(
      "the base model: \(megabytes(bytes)) of \(megabytes(totalBytes)), \(megabytes(Int(rate)))/s, \(left) left"
    )
  }

  /// Whether the coordinator is to hear how much is there: once a second, however little that is.
  var isReportDue: Bool {
    mutating get {
      let now = MonotonicClock.now()
      guard now.seconds(since: lastReported) >= 1 else { return false }
      lastReported = now
      return true
    }
  }

  /// What has come in this fetch.
  var summary: String {
    "\(fetched) of its \(totalBytes) bytes came in "
      + ProgressLine.duration(MonotonicClock.now().seconds(since: started))
  }
}

/// - Parameter bytes: written with one decimal.
func megabytes(_ bytes: Int) -> String { String(format: "%.1f MB", Double(bytes) / 1e6) }
