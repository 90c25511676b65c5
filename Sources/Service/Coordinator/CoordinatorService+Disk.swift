import Coordination
import Foundation
import Ledger

/// A wait for the disk.
struct DiskPause: Sendable {
  /// What was being written, and what the disk did.
  var reason: String
  let since: Instant
  /// When the run ends rather than wait on.
  let deadline: Instant
  /// Seconds until the next try: 1, then twice as long each time, up to 10.
  var delay = 1.0
}

/// All that the run writes while it goes on passes through here: it is written, or the run waits until it can be.
extension CoordinatorService {
  /// Does work on the disk beside the socket's thread. If the disk does not take it, the run is paused: nothing counts
  /// as written, workers are kept, and the work is tried again, for `diskPauseSeconds` in all.
  ///
  /// - Parameters:
  ///   - doing: what is written, for people.
  ///   - work: is told whether it has been tried before; what then is done already is not to be done twice.
  /// - Throws: what is not the disk's fault, and the disk's fault when the time is over or the user stops the run.
  func durably<Value: Sendable>(
    _ doing: String, _ work: @escaping @Sendable (_ isRepeated: Bool) throws -> Value
  ) throws -> Value {
    activity = (doing, MonotonicClock.now())
    defer { (diskPause, activity) = (nil, nil) }
    while true {
      do {
        let isRepeated = diskPause != nil
        options.failpoints.die(at: .exitPersist)
        let value = try awaiting { try work(isRepeated) }
        if let pause = diskPause {
          let seconds = MonotonicClock.now().seconds(since: pause.since)
          logger.notice("the disk is back after \(Int(seconds.rounded())) s; the run goes on")
        }
        return value
      } catch {
        guard let fault = DiskFault(error) else { throw error }
        try wait(for: fault, doing)
      }
    }
  }

  /// How long the run waits for a disk before it ends.
  private var diskPauseSeconds: Double { options.failpoints.number(.diskPause) ?? 600 }

  /// Waits until it is time for another try and the ledger has been opened anew.
  private func wait(for fault: DiskFault, _ doing: String) throws {
    var fault = fault
    while true {
      try pause(fault, doing)
      do {
        // After a failed sync the operating system's memory and the disk may differ.
        return try awaiting { [ledger = run.ledger] in try ledger.reopen() }
      } catch {
        guard let next = DiskFault(error) else { throw error }
        fault = next
      }
    }
  }

  /// One wait, in which workers are answered.
  private func pause(_ fault: DiskFault, _ doing: String) throws {
    let now = MonotonicClock.now()
    var pause =
      diskPause
      ?? DiskPause(reason: "", since: now, deadline: now + diskPauseSeconds)
    let isNew = pause.reason != "\(doing): \(fault)"
    pause.reason = "\(doing): \(fault)"
    diskPause = pause
    guard now < pause.deadline else {
      throw ServiceError(
        "the disk did not come back within \(Int(diskPauseSeconds)) s: \(pause.reason)",
        remedy: "then go on with: nl-coord resume \(run.folder.path)")
    }
    if isNew {
      logger.error(
        "paused (disk): \(pause.reason); trying again for \(Int(pause.deadline.seconds(since: now))) s, workers are kept"
      )
    }
    let end = min(pause.deadline, now + pause.delay)
    while MonotonicClock.now() < end {
      guard !stopRequested else {
        throw ServiceError(
          "stopped while the disk was at fault: \(pause.reason)",
          remedy: "everything that was committed is safe; go on with: nl-coord resume \(run.folder.path)")
      }
      try serve(until: end)
    }
    diskPause?.delay = min(10, 2 * pause.delay)
  }

  // MARK: - Snapshots and checkpoints

  /// Whether a snapshot is to be taken now, between two steps. The one place that decides it; where it is not possible
  /// at this step, it remains due.
  func snapshotIsDue() -> Bool {
    // Between flushes part of the state is with the workers.
    guard hasAllWindows else { return false }
    // A replay is over: the next crash need not repeat it.
    return progress.step == replayedUpTo || snapshots.isDue(after: progress.step, now: Self.seconds())
  }

  func snapshot(withDigest: Bool = false) throws {
    guard try completeWindows() else { return }
    let (run, progress, engine) = (run, progress, engine)
    let seconds = try durably("writing the snapshot after step \(progress.step)") { _ in
      let started = MonotonicClock.now()
      try run.writeSnapshot(engine: engine, progress: progress, withDigest: withDigest)
      return MonotonicClock.now().seconds(since: started)
    }
    snapshots.wrote(step: progress.step, seconds: seconds)
    metrics.spent(seconds, on: .snapshot)
  }

  func checkpoint(_ kind: CheckpointWriter.Kind) throws {
    let (plan, run, progress, engine) = (plan, run, progress, engine)
    let isReplay = progress.step <= replayedUpTo
    try timing(.checkpoint) {
      try durably("writing the checkpoint \(kind.name)") { _ in
        if isReplay, try run.hasCheckpoint(kind, from: progress.step) { return }
        try run.writeCheckpoint(kind, plan: plan, progress: progress, engine: engine)
      }
    }
  }

  // MARK: - The ledger beside the steps

  /// Workers that came and went since the last commit.
  func takeNotes() -> [WorkerNote] {
    defer { notes = [] }
    return notes
  }

  /// How the workers left once the run was over: for the record alone, so a disk that does not take it is no matter.
  func recordDepartures() { try? run.ledger.record(assignments: takeRecords(), notes: takeNotes()) }

  /// Records how the run ended, and puts everything on the disk that is not there yet.
  func close(_ ending: Ending) throws {
    let (records, notes, run) = (takeRecords(), takeNotes(), run)
    try durably("recording hand-outs") { _ in try run.ledger.record(assignments: records, notes: notes) }
    try durably("recording the end of the run") { _ in
      try run.trainMetrics.synchronize()
      try run.evalMetrics.synchronize()
      try run.ledger.finish(ending.outcome)
    }
  }
}
