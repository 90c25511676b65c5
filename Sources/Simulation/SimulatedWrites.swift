import Coordination
import NestedLearning
import Service
import Training
import WireProtocol

/// All that the coordinator writes passes through here. It may be killed at each write, or find the disk at fault.
extension Simulation {
  /// Writes in a transaction, after the time that the disk takes. While the disk is at fault nothing counts as written;
  /// what was refused may be there all the same, as after a sync that failed.
  func write(_ write: RunWrite, _ driver: SimulatedDriver) {
    var seconds = scenario.diskSeconds
    if case .snapshot = write.content { seconds = scenario.snapshotSeconds }
    beside(driver, write.doing, seconds) { $0.perform(write, driver) }
  }

  private func perform(_ write: RunWrite, _ driver: SimulatedDriver) {
    let run = driver.run
    if let store = run.store { return perform(write, driver, in: store) }
    guard now >= diskFaultUntil else {
      outcome.count("writes refused by the disk")
      if random.chance(0.3) {
        outcome.count("refused writes that were there")
        _ = apply(write, to: &run.disk, driver)
      }
      let cause: WaitCause = random.chance(0.3) ? .ledger : .disk
      if cause == .ledger { outcome.count(.ledgerHeld) }
      return tell(driver, .writeFailed(write.id, .mayPass(cause, "as simulated")))
    }
    var result: Result<RunWriteOutcome, WriteError> = .success(.done)
    let lives = transact(write.doing, run) { result = apply(write, to: &$0, driver) }
    if let fault = run.disk.fault { problem(fault) }
    guard lives else { return killCoordinator(.coordinatorKilledAtPersist) }
    switch result {
    case .success(let outcome): tell(driver, .written(write.id, outcome))
    case .failure(let error): tell(driver, .writeFailed(write.id, error.failure))
    }
  }

  func reopenLedger(_ driver: SimulatedDriver) {
    beside(driver, "the ledger is opened anew", scenario.diskSeconds) {
      if let store = driver.run.store {
        $0.reopen(store, driver)
      } else if $0.now < $0.diskFaultUntil {
        $0.tell(driver, .reopenFailed(.mayPass(.disk, "as simulated")))
      } else {
        $0.tell(driver, .reopened)
      }
    }
  }

  /// A transaction with its fsync.
  ///
  /// - Returns: whether the coordinator lives on. If not, the write has been done or not done.
  func transact(_ name: String, _ run: SimulatedRun, _ write: (inout SimulatedDisk) -> Void) -> Bool {
    persists += 1
    let isHere = persists == scenario.killAtPersistNumber
    if isHere || (isFaulty && coordinator != nil && random.chance(scenario.killsAtPersist)) {
      // Exactly half of the crashes that are asked for by number come before the write is on the disk.
      let isDone = isHere ? scenario.seed % 2 == 1 : random.chance(0.5)
      note("persist \(persists), \(name): killed, \(isDone ? "done" : "not done")")
      if isDone { write(&run.disk) }
      return false
    }
    write(&run.disk)
    return true
  }

  var hasDiskFaults: Bool {
    [.diskFault, .diskFull, .diskError, .syncError, .readError, .ledgerHeld].contains {
      outcome.faults[$0] != nil
    }
  }

  // MARK: - What is written

  struct WriteError: Error {
    let failure: WriteFailure
  }

  func apply(
    _ write: RunWrite, to disk: inout SimulatedDisk, _ driver: SimulatedDriver
  ) -> Result<RunWriteOutcome, WriteError> {
    disk.record(rows(of: write, driver), quarantined: quarantines(of: write))
    switch write.content {
    case .tiers, .end, .nothing, .checkpoint(.final, _, _), .checkpoint(.step, _, _),
      .checkpoint(.scaled, _, _):
      break
    case .step(let step):
      disk.commit(
        step: step.applied.step, digest: step.applied.digest, term: driver.term,
        timestamp: wallClock, isRepeated: write.isRepeated)
      if keepsRows(of: driver.run) {
        let count = driver.run.problem.config.gradientAccumulationSteps
        disk.record(step.shards.map { ComputedShard($0, leafCount: count) }, step: step.applied.step)
      }
    case .replayedStep(let applied):
      outcome.count("steps replayed")
      if !disk.agrees(step: applied.step, digest: applied.digest) {
        outcome.count("steps that came out otherwise")
        return .failure(
          WriteError(
            failure: .differs(step: applied.step, recorded: "another")))
      }
    case .evaluation(let evaluation): disk.record(evaluation)
    case .checkpoint(.best, let progress, let isReplay): saveBest(progress, isReplay, to: &disk, driver)
    case .snapshot(let progress, _): saveSnapshot(progress, to: &disk, driver)
    case .rollback(let identities, let step):
      let returns = disk.returns
      for identity in identities { disk.rollBack(identity: identity) }
      if let step, disk.lastStep >= step {
        outcome.count("wrong partial sums of unknown workers")
        disk.rollBack(before: step)
      }
      let isNew = disk.returns > returns
      if isNew { outcome.count("went back") }
      return .success(
        .rolledBack(isNew ? ["went back to step \(disk.lastStep)"] : [], lastStep: disk.lastStep))
    }
    return .success(.done)
  }

  /// A replay comes past checkpoints that were written before the crash.
  private func saveBest(
    _ progress: RunProgress, _ isReplay: Bool, to disk: inout SimulatedDisk, _ driver: SimulatedDriver
  ) {
    guard let state = driver.engine?.state, !(isReplay && disk.best.step >= progress.step) else {
      return
    }
    disk.record(best: progress.step, bits: Reference.bits(of: state))
  }

  private func saveSnapshot(
    _ progress: RunProgress, to disk: inout SimulatedDisk, _ driver: SimulatedDriver
  ) {
    do {
      guard let state = try driver.engine?.snapshot() else { return }
      disk.record(
        SimulatedDisk.Snapshot(
          step: progress.step, trainer: state, progress: progress, digest: StateDigest.of(state.tensors)),
        prunes: driver.run.store == nil)
    } catch { problem("no snapshot can be taken: \(error)") }
  }

  /// Whose results count is of use only if somebody's may be undone.
  private func keepsRows(of run: SimulatedRun) -> Bool { scenario.hasLiars || run.store != nil }

  func rows(of write: RunWrite, _ driver: SimulatedDriver) -> [SimulatedDisk.Row] {
    guard keepsRows(of: driver.run) else { return [] }
    return write.attempts.compactMap { record in
      guard record.outcome == .committed, let member = driver.members[record.workerID] else { return nil }
      return SimulatedDisk.Row(
        key: SimulatedDisk.Row.Key(term: driver.term, attempt: record.attempt), step: record.step,
        identity: member.identity, isVerified: record.verified)
    }
  }

  func quarantines(of write: RunWrite) -> [String] {
    write.workers.compactMap { news in
      if case .quarantined(_, let identity, _, _) = news { identity } else { nil }
    }
  }

  /// Milliseconds of the coordinator's wall clock.
  private var wallClock: Int { Int(now.nanoseconds / 1_000_000) + wallClockOffset }

  /// Whether a lie is in what counts of a run: then its state is as wrong as it is, until the lie is found.
  func isDeceived(_ driver: SimulatedDriver) -> Bool {
    let run = driver.run
    guard !run.lies.isEmpty else { return false }
    return driver.core.unwrittenAttempts.contains {
      run.lies.contains(SimulatedDisk.Row.Key(term: driver.term, attempt: $0))
    } || run.disk.rows.keys.contains(where: run.lies.contains)
  }
}
