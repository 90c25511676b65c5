import Coordination
import NestedLearning
import Service
import WireProtocol

/// The course of a run, as CoordinatorService takes it: a step is opened, waited for, applied, committed.
extension Simulation {
  func goOn() {
    guard let coordinator else { return }
    guard coordinator.toUndo.isEmpty else { return rollBack() }
    switch coordinator.progress.next(scenario.problem.config) {
    case .train(let step): train(step, coordinator)
    case .evaluate: evaluate(coordinator)
    case .saveBest: saveBest(coordinator)
    case .saveCheckpoint:
      durably("a checkpoint") { _, _ in
      } then: {
        $0.coordinator?.progress.savedCheckpoint()
        $0.goOn()
      }
    case .finish:
      coordinator.doing = "finishes"
      completeWindows { $0.finish(coordinator) }
    }
  }

  private func finish(_ coordinator: SimulatedCoordinator) {
    // The last windows may have brought a worker's wrong results to light.
    guard coordinator.toUndo.isEmpty else { return goOn() }
    durably("the final checkpoint") { _, _ in
    } then: {
      $0.snapshot()
    }
  }

  private func saveBest(_ coordinator: SimulatedCoordinator) {
    let step = coordinator.progress.step
    // A replay comes past those that were written before the crash.
    let isThere = step <= coordinator.replayedUpTo && disk.best.step >= step
    let bits = Reference.bits(of: coordinator.engine.state)
    durably("the best checkpoint") { disk, _ in
      if !isThere { disk.record(best: step, bits: bits) }
    } then: {
      $0.coordinator?.progress.savedBest()
      $0.goOn()
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
      isFlush: isFlush(step, coordinator), trainedTokens: coordinator.batches.map(\.trainedTokens))
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
      .open(
        WorkUnit(
          purpose: .evaluate, step: step, leafCount: coordinator.batches.count, dueTiers: [],
          trainedTokens: coordinator.batches.map(\.trainedTokens))))
  }

  // MARK: - What a unit came to

  func complete(_ done: CompletedUnit) {
    guard let coordinator else { return }
    let results = done.results.compactMap { result in
      coordinator.payloads.removeValue(forKey: result.attempt).map { UnitResult(result, $0) }
    }
    if !coordinator.payloads.isEmpty { problem("\(done.unit) left results behind") }
    guard done.unit.hasLoss else { return windowsCame(done, results, coordinator) }
    checkCoverage(of: done, results: results)
    if done.unit.purpose == .evaluate { return evaluated(done, coordinator) }
    let step = done.unit.step
    later("step \(step) is kept", 0.0005) { simulation in
      simulation.ifItHoldsUp(done, results, coordinator) { $0.completeStep(done, results, coordinator) }
    }
  }

  private func completeStep(
    _ done: CompletedUnit, _ results: Results, _ coordinator: SimulatedCoordinator
  ) {
    let step = done.unit.step
    keep(results, coordinator)
    guard self.coordinator === coordinator else { return }
    let active = coordinator.engine.state.scheduler.activeTiers(at: step)
    completeWindows(of: done.unit.isFlush ? done.unit.dueTiers : active, through: step) {
      if let windows = coordinator.core.windows {
        coordinator.archive.forget(before: windows.oldestStep(after: step))
      }
      $0.apply(done, results, coordinator)
    }
  }

  /// What was collected, or computed again.
  private func windowsCame(
    _ done: CompletedUnit, _ results: [UnitResult], _ coordinator: SimulatedCoordinator
  ) {
    later("\(done.unit) has come", 0.0005) { simulation in
      if let then = coordinator.whenAudited {
        coordinator.whenAudited = nil
        return then(simulation, results)
      }
      let then = coordinator.whenComplete
      coordinator.whenComplete = nil
      simulation.ifItHoldsUp(done, results, coordinator) {
        $0.keep(results, coordinator)
        if $0.coordinator === coordinator { then?($0) }
      }
    }
  }

  private func keep(_ results: [UnitResult], _ coordinator: SimulatedCoordinator) {
    for (step, results) in results.bySteps {
      do {
        try coordinator.engine.keep(results.map(\.message), of: results.map(\.shard.node), step: step)
      } catch { return problem("what came for step \(step) cannot be kept: \(error)") }
    }
  }

  private func apply(
    _ done: CompletedUnit, _ results: [UnitResult], _ coordinator: SimulatedCoordinator
  ) {
    later("step \(done.unit.step) is applied", 0.001) { simulation in
      do {
        let applied = try coordinator.engine.apply(
          step: done.unit.step, lossSum: done.lossSum, tokens: done.tokens, results: results)
        try simulation.checkState(coordinator)
        simulation.outcome.steps += 1
        simulation.commit(applied, of: done.unit, coordinator)
      } catch {
        simulation.problem("step \(done.unit.step) cannot be applied: \(error)")
      }
    }
  }

  /// One transaction, before any worker hears of the next step. A step that was committed before a crash must come out
  /// the same.
  private func commit(_ applied: AppliedStep, of unit: WorkUnit, _ coordinator: SimulatedCoordinator) {
    let (rows, quarantines) = coordinator.takeRecords()
    if applied.step <= disk.lastStep {
      outcome.count("steps replayed")
      if !disk.agrees(step: applied.step, digest: applied.digest) {
        return problem("step \(applied.step), computed again, has another digest")
      }
      return durably("who computed step \(applied.step) again") { disk, _ in
        disk.record(rows, quarantined: quarantines)
      } then: {
        $0.committed(applied, of: unit)
      }
    }
    let timestamp = wallClock
    durably("step \(applied.step)") { disk, isRepeated in
      disk.commit(
        step: applied.step, digest: applied.digest, term: coordinator.term, timestamp: timestamp,
        isRepeated: isRepeated)
      disk.record(rows, quarantined: quarantines)
    } then: { simulation in
      simulation.onCommit?(applied.step)
      if !simulation.isFaulty, simulation.outcome.secondsToNextCommit == nil {
        simulation.outcome.secondsToNextCommit = simulation.now.seconds(since: simulation.faultsEnd)
      }
      simulation.committed(applied, of: unit)
    }
  }

  private func committed(_ applied: AppliedStep, of unit: WorkUnit) {
    guard let coordinator else { return }
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

  private func evaluated(_ done: CompletedUnit, _ coordinator: SimulatedCoordinator) {
    let loss = done.lossSum / Double(done.tokens)
    checkEvaluation(loss, step: done.unit.step)
    let (rows, quarantines) = coordinator.takeRecords()
    durably("an evaluation") { disk, _ in
      disk.record(evaluation: loss, step: done.unit.step)
      disk.record(rows, quarantined: quarantines)
    } then: { simulation in
      simulation.handle(.committed(done.unit))
      guard simulation.coordinator === coordinator else { return }
      coordinator.progress.evaluated(loss: loss, simulation.scenario.problem.config)
      simulation.goOn()
    }
  }

  private func snapshot() { completeWindows { $0.writeSnapshot() } }

  private func writeSnapshot() {
    guard let coordinator else { return }
    let started = now
    do {
      let state = try coordinator.engine.snapshot()
      let snapshot = SimulatedDisk.Snapshot(
        step: coordinator.progress.step, trainer: state, progress: coordinator.progress,
        digest: StateDigest.of(state.tensors))
      durably("a snapshot", seconds: scenario.snapshotSeconds) { disk, _ in
        disk.record(snapshot)
      } then: {
        $0.wroteSnapshot(coordinator, since: started)
      }
    } catch { problem("no snapshot can be taken: \(error)") }
  }

  private func wroteSnapshot(_ coordinator: SimulatedCoordinator, since started: Instant) {
    coordinator.snapshots.wrote(step: coordinator.progress.step, seconds: now.seconds(since: started))
    // The last windows may have brought a worker's wrong results to light.
    if case .finish = coordinator.progress.next(scenario.problem.config), coordinator.toUndo.isEmpty {
      close(coordinator)
    } else {
      goOn()
    }
  }

  // MARK: - Ends

  private func close(_ coordinator: SimulatedCoordinator) {
    let (rows, quarantines) = coordinator.takeRecords()
    durably("the end") { disk, _ in
      disk.record(rows, quarantined: quarantines)
    } then: { simulation in
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
    // In no scenario does every identity fail for as long as a run has patience with that.
    problem("the run failed: \(reason)")
  }

  /// Milliseconds of the coordinator's wall clock.
  private var wallClock: Int { Int(now.nanoseconds / 1_000_000) + wallClockOffset }
}
