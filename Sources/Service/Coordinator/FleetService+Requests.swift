import Coordination
import JSON
import Training
import WireProtocol

/// Where a fleet that takes runs on and on says what others may want to know. It is told on the fleet's thread.
protocol FleetBoard: AnyObject {
  /// How the runs that have begun stand: PROTOCOL.md, STATUS_REPLY.
  func stands(_ runs: [RunNumber: JSONValue])
  /// The turn of a run that waited has come.
  func begins(_ number: RunNumber)
  /// A run is over, or could not begin.
  func ended(_ number: RunNumber, _ result: Result<RunEnding, any Error>)
}

/// What others want of a fleet that takes runs on and on.
extension FleetService {
  private static let boardSeconds = 1.0

  func tellBoard(_ now: Instant) {
    guard let board, now >= nextBoard else { return }
    nextBoard = now + Self.boardSeconds
    var runs: [RunNumber: JSONValue] = [:]
    for (number, driver) in drivers {
      if let status = fleet.status(of: number) { runs[number] = driver.statusJSON(status) }
    }
    board.stands(runs)
  }

  /// One more run, behind those that wait.
  func add(_ number: RunNumber, _ run: QueuedRun) throws {
    queued[number] = run
    queue.add(number)
    try beginNext()
  }

  /// A run is to end between two steps, with everything written down; at the end of the usual grace without the step
  /// in hand.
  func stop(run number: RunNumber) throws {
    if queue.remove(number) {
      try end(number, folder: queued[number]?.name ?? "\(number)", .success(.stopped), sendsAway: true)
    } else if drivers[number] != nil {
      try tell(number, .stop(deadline: MonotonicClock.now() + options.operations.graceSeconds))
    } else if let measurement = queue.measurement(for: number) {
      try tell(measurement, .stop(deadline: MonotonicClock.now() + options.operations.graceSeconds))
    } else if queued[number] != nil {
      cancelled.insert(number)
    }
    nextBoard = .zero
  }

  /// A run is to rest between two steps; one that waits for its turn, as soon as it has begun.
  func pause(run number: RunNumber) throws {
    if drivers[number] != nil {
      try tell(number, .pause)
    } else if queued[number] != nil {
      pausesAtBegin.insert(number)
    }
    nextBoard = .zero
  }

  func resume(run number: RunNumber) throws {
    pausesAtBegin.remove(number)
    try tell(number, .resume)
    nextBoard = .zero
  }
}
