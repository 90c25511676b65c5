import Coordination
import NestedLearning
import Service
import Training

/// A run whose files are real, on a simulated volume. What they hold is held to the plain model all along.
extension Simulation {
  enum Beginning {
    case begun
    /// The disk was at fault, or held.
    case failed
    /// The process was killed over it.
    case killed
  }

  /// Takes a run before there is a coordinator process; if that fails, whoever looks after it starts it again.
  func isReady(_ run: SimulatedRun) -> Bool {
    if case .begun = beginTerm(of: run) { return true }
    leaveStores()
    events.add(.coordinatorStart, at: now + scenario.restartSeconds)
    return false
  }

  /// Begins a term of a run on the disk.
  func beginTerm(of run: SimulatedRun) -> Beginning {
    guard let store = run.store else {
      if now < diskFaultUntil { return .failed }
      return transact("the term", run, { $0.beginTerm() }) ? .begun : .killed
    }
    persists += 1
    switch attempt(store, { try store.begin() }) {
    case .done(let term):
      if term <= run.disk.term { problem("the term \(term) came after \(run.disk.term)") }
      run.disk.begin(term: term)
      compare(run, store)
      rot(store)
      return .begun
    case .failed(let error, let isExpected):
      let fault = "the run cannot be taken: \(error)"
      if isExpected { note(fault) } else { problem(fault) }
      return .failed
    case .killed:
      if coordinator == nil { outcome.count(.coordinatorKilledAtPersist) }
      return .killed
    }
  }

  func perform(_ write: RunWrite, _ driver: SimulatedDriver, in store: SimulatedStore) {
    persists += 1
    noteUnderWay(write, store, driver)
    let run = driver.run
    var after = run.disk
    let expected = apply(write, to: &after, driver)
    store.underWay += states(of: write, run.disk, after)
    switch attempt(store, reads: write.mayFailToRead, { try store.perform(write, engine: driver.engine) }) {
    case .killed: killCoordinator(.coordinatorKilledAtPersist)
    case .failed(let error, let isExpected):
      let failure = WriteFailure(error)
      if case .differs = failure {
        if case .success = expected { problem("a step differs, and did not in the model") }
        (run.disk, store.underWay) = (after, [])
      } else {
        note("\(write.doing) failed: \(error)")
        outcome.count("real writes refused")
        if !isExpected { problem("\(write.doing) failed: \(error)") }
      }
      tell(driver, .writeFailed(write.id, failure))
    case .done(let result):
      if case .failure = expected { problem("a step differs in the model, and not here") }
      outcome.count("real writes")
      acknowledge(write, result, after, run, store)
      tell(driver, .written(write.id, result))
    }
  }

  private func acknowledge(
    _ write: RunWrite, _ result: RunWriteOutcome, _ after: SimulatedDisk, _ run: SimulatedRun,
    _ store: SimulatedStore
  ) {
    if case .rolledBack(let lines, let lastStep) = result {
      let states = lines.isEmpty ? [run.disk] : store.underWay
      guard let state = states.last(where: { $0.lastStep == lastStep }) else {
        return problem("the run went back to step \(lastStep), where it cannot go")
      }
      if lastStep < run.disk.lastStep { outcome.count("went back in real files") }
      run.disk = state
    } else {
      run.disk = after
    }
    switch write.content {
    // What was refused before may be there all the same.
    case .end, .nothing: break
    default: store.underWay = []
    }
    if case .snapshot = write.content {
      // What was damaged may have been written anew.
      if !store.damaged.isEmpty { noteDamage(store) }
      if store.more.chance(0.3) { rot(store) }
    }
    let isReturn = if case .rollback = write.content { true } else { false }
    let isSnapshot = if case .snapshot = write.content { true } else { false }
    if isReturn || isSnapshot || store.random.chance(0.05) { compare(run, store) }
  }

  /// The states that a write may leave if it is cut short, in their order.
  private func states(of write: RunWrite, _ disk: SimulatedDisk, _ after: SimulatedDisk) -> [SimulatedDisk] {
    guard case .rollback(let identities, let step) = write.content else { return [after] }
    // The record is made void from any snapshot before the first of what is to be undone.
    let firsts = identities.compactMap { disk.firstUnverifiedStep(of: $0) } + (step.map { [$0] } ?? [])
    guard let last = firsts.max() else { return [] }
    return ([0] + disk.snapshots.map(\.step).sorted()).reversed().filter { $0 < last }
      .map { step in
        var state = disk
        state.rollBack(to: step)
        return state
      }
  }

  private func noteUnderWay(_ write: RunWrite, _ store: SimulatedStore, _ driver: SimulatedDriver) {
    for row in rows(of: write, driver) { store.rowsUnderWay[row.key] = row }
    store.quarantinedUnderWay.formUnion(quarantines(of: write))
    if case .checkpoint(.best, let progress, _) = write.content, let state = driver.engine?.state {
      store.bestParameters[progress.step] = ToyContents.bytes(of: state.published)
    }
  }

  /// The files must be in a state that they may be in.
  private func compare(_ run: SimulatedRun, _ store: SimulatedStore) {
    outcome.count("real files compared")
    do {
      if let fault = try store.match(&run.disk) { problem(fault) }
    } catch {
      problem("the files cannot be read: \(error)")
    }
  }

  // MARK: - Restoring

  func restored(
    _ run: SimulatedRun, from store: SimulatedStore
  ) throws -> (StepEngine, RestoredRun) {
    let (engine, restored) = try read(run, store)
    let disk = run.disk
    let newest = disk.snapshots.first
    if let newest, StateDigest.of(try engine.snapshot().tensors) != newest.digest {
      problem("the snapshot of step \(newest.step) is not what was written")
    }
    if restored.lastStep != disk.lastStep { problem("the run is restored up to step \(restored.lastStep)") }
    if Set(restored.toUndo) != Set(disk.identitiesToUndo) { problem("the run is to undo \(restored.toUndo)") }
    if restored.shards.contains(where: { disk.shards[$0.key] != $0.value }) {
      problem("the shards of steps to come are others")
    }
    return (engine, restored)
  }

  func reopen(_ store: SimulatedStore, _ driver: SimulatedDriver) {
    switch attempt(store, { try store.reopen() }) {
    case .done: tell(driver, .reopened)
    case .killed: killCoordinator(.coordinatorKilledAtPersist)
    case .failed(let error, let isExpected):
      if !isExpected { problem("the ledger cannot be opened anew: \(error)") }
      tell(driver, .reopenFailed(WriteFailure(error)))
    }
  }

  // MARK: - Ends

  /// The coordinator's process is gone, in one way or another.
  func leaveStores() {
    let stores = runs.compactMap(\.store)
    guard let first = stores.first else { return }
    var ends: [SimulatedStore.End] = [.killed, .powerLost]
    if !stores.contains(where: \.volume.isOff) { ends.append(.exited) }
    let end = ends.randomElement(using: &first.random) ?? .killed
    if end == .powerLost, coordinatorLives > 0 { outcome.count(.powerLost) }
    note("the coordinator's process is gone: \(end)")
    for store in stores {
      do { try store.end(end) } catch { problem("the volume cannot be made again: \(error)") }
    }
  }

  /// What is there of a run once it is over, and the power was lost once more.
  func checkStore(of run: SimulatedRun) {
    guard let store = run.store else { return }
    outcome.count("runs with real files")
    outcome.consequences["changes of real files", default: 0] += store.volume.total
    do {
      try store.end(.powerLost)
      run.disk.begin(term: try store.begin())
      compare(run, store)
      let rows = try store.metrics()
      if rows != Array(1..<run.disk.lastStep + 1) { problem("the metrics have the steps \(rows)") }
      let step = run.disk.best.step
      guard step > 0 else { return }
      let best = try store.bestCheckpoint()
      if best?.step != step { problem("the best checkpoint is of step \(best?.step ?? 0)") }
      if best?.bytes != store.bestParameters[step] { problem("the best checkpoint has other bytes") }
    } catch {
      problem("the run cannot be opened after its end: \(error)")
    }
  }

  // MARK: - Faults

  private enum Attempt<Value> {
    case done(Value)
    /// - Parameter expected: the disk was at fault.
    case failed(any Error, expected: Bool)
    /// The process is no more, whatever came of it.
    case killed
  }

  /// Does something with the files while the process may be killed in the middle of it, or the disk be at fault.
  ///
  /// - Parameter reads: whether reading may fail, too.
  private func attempt<Value>(
    _ store: SimulatedStore, reads: Bool = true, _ work: () throws -> Value
  ) -> Attempt<Value> {
    let volume = store.volume
    let dies = isFaulty && store.random.chance(scenario.killsAtPersist)
    var kind: FaultKind?
    var holder: LedgerHolder?
    if dies {
      // Most writes take fewer than thirty operations, and then it is killed after the write.
      volume.plan(.powerLoss, after: Int.random(in: 0..<30, using: &store.random))
    } else if now < diskFaultUntil || isFaulty && store.random.chance(scenario.faultsAtPersist) {
      kind = planDiskFault(store, reads: reads)
      if kind == .ledgerHeld { holder = store.hold() }
    } else if reads, isFaulty, store.more.chance(scenario.readErrors) {
      kind = .readError
      volume.planReadErrors(
        after: Int.random(in: 0..<8, using: &store.more), times: Int.random(in: 1...4, using: &store.more))
    }
    defer { volume.cancelPlan() }
    let hits = volume.counts.hits
    let result = Result { try work() }
    var isHit = volume.counts.hits > hits
    if case .failure = result, holder != nil || store.mayBeClosed { isHit = true }
    if isHit, let kind { outcome.count(kind) }
    if dies {
      note("killed in the middle of it, or at its end")
      if isHit { outcome.count("killed in the middle of a write") }
      return .killed
    }
    switch result {
    case .success(let value): return .done(value)
    case .failure(let error): return .failed(error, expected: isHit)
    }
  }

  private func planDiskFault(_ store: SimulatedStore, reads: Bool) -> FaultKind {
    let kinds: [FaultKind] = [.diskFull, .diskError, .syncError, .ledgerHeld]
    let kind = kinds.randomElement(using: &store.random) ?? .diskFull
    let operations = Int.random(in: 0..<20, using: &store.random)
    switch kind {
    case .diskFull: store.volume.plan(.full, after: operations, times: 1000)
    case .diskError where reads && store.more.chance(scenario.readErrors):
      store.volume.planReadErrors(after: operations, times: 1000)
      return .readError
    case .diskError: store.volume.plan(.writeError, after: operations, times: 1000)
    case .syncError: store.volume.plan(.syncError, after: operations / 4, times: 1000)
    default: break
    }
    return kind
  }
}
