import Coordination
import NestedLearning
import Training

/// What has been seen of a run's effects, to tell whether those that come are as they must be.
struct RunWatch {
  /// A replay in which two workers have to agree on every shard goes up to this step; 0: there is none.
  var certainUpTo = 0
  /// Whether the state is being restored for such a replay.
  var restoresForCertainty = false
  /// The step that the state was restored at.
  var restored = 0
  /// A step that is applied, and that workers have not been told of; and whether its time has been told.
  var unacknowledged: Int?
  var isUntold = false
  /// Since when somebody has come or gone who is not in the ledger; nil if nobody has.
  var newsSince: Instant?
  /// Whether a unit was closed without an outcome.
  var hasAbandoned = false
  /// Whether the run waits for its disk.
  var isWaiting = false
}

/// What a run's core says must be so whatever happens: what depends on it would show only in the time that is lost, or in
/// what people read.
extension Simulation {
  func inspect(_ effects: [RunEffect], after event: RunEvent, _ driver: SimulatedDriver) {
    switch event {
    case .unitComplete(let done, _):
      if !done.audits.isEmpty, effects.contains(where: { if case .keep = $0 { true } else { false } }) {
        problem("sums that are to be computed again are used as they came")
      }
    case .restored(let run):
      let isAhead = driver.watch.restoresForCertainty && run.progress.step < run.lastStep
      driver.watch.certainUpTo = isAhead ? run.lastStep : 0
      driver.watch.restored = run.progress.step
    case .worker: driver.watch.newsSince = driver.watch.newsSince ?? now
    case .writeFailed: driver.watch.newsSince = nil
    case .timer: inspectGrace(effects, driver)
    default: break
    }
    for effect in effects { inspect(effect, driver) }
    inspectWait(effects, driver)
  }

  /// The step in hand has all of its grace.
  private func inspectGrace(_ effects: [RunEffect], _ driver: SimulatedDriver) {
    guard let deadline = driver.core.stopDeadline, let clock = coordinator?.clock(now), clock < deadline,
      effects.contains(where: { if case .abandon = $0 { true } else { false } })
    else { return }
    problem("\(driver.number) gives up its step before its grace is over")
  }

  /// A wait for the disk is told of when it begins.
  private func inspectWait(_ effects: [RunEffect], _ driver: SimulatedDriver) {
    let isWaiting = driver.core.activity?.wait != nil
    defer { driver.watch.isWaiting = isWaiting }
    guard isWaiting, !driver.watch.isWaiting else { return }
    let isTold = effects.contains { if case .tell(.error) = $0 { true } else { false } }
    if !isTold { problem("\(driver.number) waits for its disk, and does not say so") }
  }

  private func inspect(_ effect: RunEffect, _ driver: SimulatedDriver) {
    switch effect {
    case .open(let unit): inspectOpening(unit, driver)
    case .apply(let step, _, _, _): (driver.watch.unacknowledged, driver.watch.isUntold) = (step, true)
    case .acknowledge(let unit):
      if unit.leafCount == 0 { problem("\(unit) was computed by nobody, and is acknowledged") }
      if unit.purpose == .train { driver.watch.unacknowledged = nil }
    case .tell(.spent(_, on: .update)):
      if !driver.watch.isUntold { problem("the time of a step is told that was not computed") }
      driver.watch.isUntold = false
    case .restore(let isCertain):
      (driver.watch.restoresForCertainty, driver.watch.unacknowledged) = (isCertain, nil)
      driver.watch.isUntold = false
    case .abandon: driver.watch.hasAbandoned = true
    case .write(let write): inspectWrite(write, driver)
    default: break
    }
  }

  private func inspectWrite(_ write: RunWrite, _ driver: SimulatedDriver) {
    if !write.workers.isEmpty { driver.watch.newsSince = nil }
    if case .checkpoint(_, let progress, let isReplay) = write.content,
      isReplay != (progress.step <= driver.core.replayedUpTo)
    {
      problem("the checkpoint of step \(progress.step) is written as one of a replay: \(isReplay)")
    }
    guard case .end(.failed) = write.content else { return }
    let last = driver.run.disk.lastStep
    for record in write.attempts
    where record.purpose == .train && record.outcome == .committed && record.step > last {
      problem("attempt \(record.attempt) is to be recorded as committed, and step \(record.step) is not")
    }
  }

  private func inspectOpening(_ unit: WorkUnit, _ driver: SimulatedDriver) {
    let watch = driver.watch
    if unit.hasLoss, let step = watch.unacknowledged { problem("step \(step) was never acknowledged") }
    if unit.hasLoss, watch.isUntold { problem("the time of a step was never told") }
    guard unit.purpose == .train else { return }
    let config = driver.run.problem.config
    if unit.window ? unit.step % config.flushEvery == 0 && !unit.isFlush : unit.isFlush {
      problem("\(unit) brings copies of partial sums: \(unit.isFlush)")
    }
    if unit.step <= watch.certainUpTo, !unit.isVerified { problem("\(unit) is computed by one worker alone") }
    let unwritten = driver.core.unwrittenAttempts
    if !unwritten.isEmpty { problem("attempts \(unwritten) count, and are not in the ledger before \(unit)") }
    if unit.step > driver.core.replayedUpTo, unit.isVerified {
      problem("\(unit) is new, and computed by two")
    }
    inspectSnapshots(before: unit, driver)
  }

  /// A replay that is over, and a numbered checkpoint, have left a snapshot behind.
  private func inspectSnapshots(before unit: WorkUnit, _ driver: SimulatedDriver) {
    let (problem, last) = (driver.run.problem, unit.step - 1)
    let newest = driver.run.disk.snapshots.first?.step ?? 0
    guard newest < last else { return }
    if !problem.usesWindows, last == driver.core.replayedUpTo, last > driver.watch.restored {
      self.problem("the replay is over after step \(last), and the last snapshot is of step \(newest)")
    }
    if !problem.config.saveBestOnly, last % problem.config.checkpointEvery == 0, last > driver.watch.restored
    {
      self.problem("step \(last) has a checkpoint, and the last snapshot is of step \(newest)")
    }
  }

  /// Whoever comes or goes is written down soon, however long a step takes.
  func watchNews(of driver: SimulatedDriver) {
    // It waits for whatever else is written.
    if driver.core.activity != nil, driver.watch.newsSince != nil { driver.watch.newsSince = now }
    guard let since = driver.watch.newsSince, driver.run.store == nil, now.seconds(since: since) > 10,
      now.seconds(since: diskFaultUntil) > 10
    else { return }
    problem("who came and went is not in the ledger of \(driver.number) since \(since)")
  }

  /// A stop leaves the workers there if it is to, and otherwise sends them away, unless a unit was left in a hurry.
  func checkWorkersAtStop(of driver: SimulatedDriver) {
    if scenario.keepsWorkersAtStop, driver.isDrained { problem("a stop has sent the workers away") }
    if !scenario.keepsWorkersAtStop, !driver.isDrained, !driver.watch.hasAbandoned {
      problem("a stop has left the workers there")
    }
  }

  /// Whether a lie that was never compared may be in the state that a run has replayed from, or all who took part have
  /// lied: then a replay that differs says nothing of who is wrong.
  func mayEndDeceived(_ driver: SimulatedDriver, _ reason: String) -> Bool {
    guard isDeceived(driver) else { return false }
    let run = driver.run
    if run.disk.rows.contains(where: { run.lies.contains($0.key) && $0.value.step <= driver.watch.restored })
    {
      return true
    }
    guard let step = reason.firstMatch(of: #/step ([0-9]+), .* in every shard/#).flatMap({ Int($0.1) }) else {
      return false
    }
    // Those who computed the step when it was committed: whoever did so again, in a later term, is recorded beside them.
    let all = run.disk.rows.filter { $0.value.step == step }
    let first = all.keys.map(\.term).min()
    let rows = all.filter { $0.key.term == first }
    // One who lied alone is to be named, however much of the step it computed.
    return Set(rows.map(\.value.identity)).count > 1 && rows.allSatisfy { run.lies.contains($0.key) }
  }
}
