import Coordination
import WireProtocol

/// A run that is to be carried out, and that may have to be read and checked first.
struct QueuedRun: Sendable {
  /// For people: where it came from.
  let name: String
  /// Nil if it is still to be made ready.
  var prepared: PreparedRun?
  /// Reads and checks what it is made from, and makes or takes its folder.
  let prepare: @Sendable () throws -> PreparedRun
}

/// A run that is ready: what it is made from, and where it is written down.
struct PreparedRun: @unchecked Sendable {
  let plan: RunPlan
  let store: OpenRun

  /// The folder is free for others.
  func close() { try? store.ledger.close() }
}

/// Runs that wait, in their order; so many are at work together.
struct RunQueue {
  private var waiting: [(number: RunNumber, run: QueuedRun)]
  /// Runs that are being made ready.
  private var preparing: [RunNumber: String] = [:]
  private let parallel: Int
  /// Whether workers are sent away when the last run is over.
  var sendsAway = true

  init(_ runs: [QueuedRun], parallel: Int) {
    waiting = runs.enumerated().map { (RunNumber(UInt32($0 + 1)), $1) }
    self.parallel = max(1, parallel)
  }

  var isEmpty: Bool { waiting.isEmpty && preparing.isEmpty }
  var names: [String] { waiting.map(\.run.name) }

  /// The next run, if one more may be at work.
  mutating func next(atWork: Int) -> (RunNumber, QueuedRun)? {
    guard atWork + preparing.count < parallel, !waiting.isEmpty else { return nil }
    let (number, run) = waiting.removeFirst()
    preparing[number] = run.name
    return (number, run)
  }

  func name(of run: RunNumber) -> String { preparing[run] ?? "\(run)" }

  mutating func hasBegun(_ run: RunNumber) { preparing[run] = nil }

  /// - Returns: the names of those that waited.
  mutating func removeWaiting() -> [String] {
    defer { waiting = [] }
    return names
  }
}
