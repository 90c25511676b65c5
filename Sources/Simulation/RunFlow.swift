import Coordination
import NestedLearning
import Protocol
import Service

/// The course of a run, as CoordinatorService takes it: a step is opened, waited for, applied, committed.
extension Simulation {
  func goOn() {
    guard let coordinator else { return }
    switch coordinator.progress.next(scenario.problem.config) {
    case .train(let step): train(step, coordinator)
    case .evaluate: evaluate(coordinator)
    case .saveBest:
      save("the best checkpoint") {
        $0.coordinator?.progress.savedBest()
        $0.goOn()
      }
    case .saveCheckpoint:
      save("a checkpoint") {
        $0.coordinator?.progress.savedCheckpoint()
        $0.goOn()
      }
    case .finish:
      coordinator.doing = "finishes"
      save("the final checkpoint") { $0.snapshot() }
    }
  }

  private func train(_ step: Int, _ coordinator: SimulatedCoordinator) {
    takeBatches(of: step, coordinator)
    coordinator.doing = "computes step \(step)"
    let usesWindows = scenario.problem.usesWindows
    if usesWindows { coordinator.archive.keep(coordinator.tiers, step: step) }
    let unit = WorkUnit(
      purpose: .train, step: step, leafCount: coordinator.batches.count,
      dueTiers: coordinator.engine.state.tiersDue(at: step), window: usesWindows,
      isFlush: isFlush(step, coordinator))
    handle(.open(unit))
  }

  private func evaluate(_ coordinator: SimulatedCoordinator) {
    let step = coordinator.progress.step
    if let loss = disk.evaluations[step] {
      coordinator.progress.evaluated(loss: loss, scenario.problem.config)
      return goOn()
    }
    coordinator.batches = scenario.problem.evaluationBatches()
    coordinator.unitTokens = coordinator.batches.reduce(0) { $0 + $1.trainedTokens }
    coordinator.doing = "computes the evaluation after step \(step)"
    handle(
      .open(WorkUnit(purpose: .evaluate, step: step, leafCount: coordinator.batches.count, dueTiers: [])))
  }

  /// Does something later, beside the coordinator's loop; never, if it is gone by then.
  private func later(_ name: String, _ seconds: Double, _ work: @escaping (Simulation) -> Void) {
    guard let coordinator else { return }
    agenda.add(
      .coordinatorWork(life: coordinator.life, name: name, work),
      at: now + seconds * Double.random(in: 0.5...2, using: &random))
  }

  // MARK: - What a unit came to

  func complete(_ done: CompletedUnit) {
    guard let coordinator else { return }
    let results = done.results.compactMap { result in
      coordinator.payloads.removeValue(forKey: result.attempt).map { (shard: result.shard, message: $0) }
    }
    if !coordinator.payloads.isEmpty { problem("\(done.unit) left results behind") }
    guard done.unit.hasLoss else { return windowsCame(done, results, coordinator) }
    checkCoverage(of: done, results: results)
    if done.unit.purpose == .evaluate {
      return later("the evaluation is recorded", scenario.diskSeconds) { $0.evaluated(done) }
    }
    let step = done.unit.step
    later("step \(step) is kept", 0.0005) { simulation in
      simulation.keep(results, step: step, coordinator)
      let active = coordinator.engine.state.scheduler.activeTiers(at: step)
      simulation.completeWindows(of: done.unit.isFlush ? done.unit.dueTiers : active, through: step) {
        if let windows = coordinator.core.windows {
          coordinator.archive.forget(before: windows.oldestStep(after: step))
        }
        $0.apply(done, results, coordinator)
      }
    }
  }

  /// What was collected, or computed again.
  private func windowsCame(
    _ done: CompletedUnit, _ results: [(shard: Shard, message: ResultMessage)],
    _ coordinator: SimulatedCoordinator
  ) {
    later("\(done.unit) has come", 0.0005) { simulation in
      simulation.keep(results, step: done.unit.step, coordinator)
      let then = coordinator.whenComplete
      coordinator.whenComplete = nil
      then?(simulation)
    }
  }

  private func keep(
    _ results: [(shard: Shard, message: ResultMessage)], step: Int, _ coordinator: SimulatedCoordinator
  ) {
    do {
      try coordinator.engine.keep(results.map(\.message), of: results.map(\.shard.node), step: step)
    } catch { problem("what came for step \(step) cannot be kept: \(error)") }
  }

  private func apply(
    _ done: CompletedUnit, _ results: [(shard: Shard, message: ResultMessage)],
    _ coordinator: SimulatedCoordinator
  ) {
    later("step \(done.unit.step) is applied", 0.001) { simulation in
      do {
        let applied = try coordinator.engine.apply(
          step: done.unit.step, lossSum: done.lossSum, tokens: done.tokens, results: results)
        try simulation.checkState(coordinator)
        simulation.outcome.steps += 1
        simulation.later("step \(applied.step) is committed", simulation.scenario.diskSeconds) {
          $0.commit(applied, of: done.unit)
        }
      } catch {
        simulation.problem("step \(done.unit.step) cannot be applied: \(error)")
      }
    }
  }

  private func commit(_ applied: AppliedStep, of unit: WorkUnit) {
    guard let coordinator else { return }
    if applied.step <= disk.lastStep {
      outcome.count("steps replayed")
      if !disk.agrees(step: applied.step, digest: applied.digest) {
        return problem("step \(applied.step), computed again, has another digest")
      }
    } else {
      var fault: String?
      let lives = persist("step \(applied.step)") { [wallClock] disk in
        fault = disk.commit(
          step: applied.step, digest: applied.digest, term: coordinator.term, timestamp: wallClock)
      }
      if let fault { problem(fault) }
      onCommit?(applied.step)
      if !isFaulty, outcome.secondsToNextCommit == nil {
        outcome.secondsToNextCommit = now.seconds(since: faultsEnd)
      }
      guard lives else { return }
    }
    handle(.committed(unit))
    guard self.coordinator === coordinator else { return }
    coordinator.progress.applied(step: applied.step)
    if !applied.changed.isEmpty {
      for tier in applied.changed { coordinator.tiers[tier.tier] = tier }
      handle(.parametersChanged(coordinator.versions(of: applied.changed)))
    }
    // A replay is over: the next crash need not repeat it.
    let isDue =
      hasAllWindows(coordinator)
      && (applied.step == coordinator.replayedUpTo
        || coordinator.snapshots.isDue(after: applied.step, now: now.seconds(since: .zero)))
    if isDue { snapshot() } else { goOn() }
  }

  private func evaluated(_ done: CompletedUnit) {
    guard let coordinator else { return }
    let loss = done.lossSum / Double(done.tokens)
    checkEvaluation(loss, step: done.unit.step)
    guard persist("an evaluation", { $0.record(evaluation: loss, step: done.unit.step) }) else { return }
    handle(.committed(done.unit))
    guard self.coordinator === coordinator else { return }
    coordinator.progress.evaluated(loss: loss, scenario.problem.config)
    goOn()
  }

  /// Writes a checkpoint, which is of no matter to what comes after.
  private func save(_ name: String, _ then: @escaping (Simulation) -> Void) {
    later("\(name) is written", scenario.diskSeconds) { simulation in
      if simulation.persist(name, { _ in }) { then(simulation) }
    }
  }

  private func snapshot() { completeWindows { $0.writeSnapshot() } }

  private func writeSnapshot() {
    let started = now
    later("a snapshot is written", scenario.snapshotSeconds) { simulation in
      guard let coordinator = simulation.coordinator else { return }
      do {
        let state = try coordinator.engine.snapshot()
        let written = SimulatedDisk.Snapshot(
          step: coordinator.progress.step, trainer: state, progress: coordinator.progress.json,
          digest: StateDigest.of(state.tensors))
        guard simulation.persist("a snapshot", { $0.record(written) }) else { return }
      } catch { return simulation.problem("no snapshot can be taken: \(error)") }
      coordinator.snapshots.wrote(
        step: coordinator.progress.step, seconds: simulation.now.seconds(since: started))
      if case .finish = coordinator.progress.next(simulation.scenario.problem.config) {
        simulation.close(coordinator)
      } else {
        simulation.goOn()
      }
    }
  }

  // MARK: - Ends

  private func close(_ coordinator: SimulatedCoordinator) {
    later("the end is recorded", scenario.diskSeconds) { simulation in
      guard simulation.persist("the end", { _ in }) else { return }
      coordinator.doing = "sends the workers away"
      coordinator.expectsEnds = true
      simulation.handle(.drain)
    }
  }

  func drained() {
    note("the run is over")
    outcome.finished = true
  }

  /// The run cannot go on: the process ends and says why, and its user resumes it.
  func fail(_ reason: String) {
    note("the run fails: \(reason)")
    outcome.count("run failed and resumed")
    // That a shard fails too often is what so many faults come to; anything else is wrong, and so is that without them.
    let isExpected =
      reason.contains(" failed \(scenario.maximumAttempts) times")
      || reason.contains(" was lost \(10 * scenario.maximumAttempts) times")
    if !isExpected || now > faultsEnd + 30 { return problem("the run failed: \(reason)") }
    endCoordinator(restart: true)
  }

  /// Milliseconds of the coordinator's wall clock.
  private var wallClock: Int { Int(now.nanoseconds / 1_000_000) + wallClockOffset }
}
