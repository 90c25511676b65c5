import Coordination
import NestedLearning
import Service
import Training
import WireProtocol

/// What must hold at any time.
extension Simulation {
  /// Every (micro-batch, due tier) once, and nothing else.
  func checkCoverage(of done: CompletedUnit, results: [UnitResult]) {
    let unit = done.unit
    if results.count != done.results.count { return problem("\(unit): a result that counts was not kept") }
    // A place for every (micro-batch, tier); an evaluation has a single one for each micro-batch.
    let tiers = unit.dueTiers.isEmpty ? [-1] : unit.dueTiers
    var times = Array(repeating: 0, count: unit.leafCount * tiers.count)
    for shard in results.map(\.shard) {
      for leaf in shard.node.leaves(count: unit.leafCount) {
        for tier in shard.tiers.isEmpty ? [-1] : shard.tiers {
          guard let place = tiers.firstIndex(of: tier) else {
            return problem("\(unit): tier \(tier) is not due")
          }
          times[leaf * tiers.count + place] += 1
        }
      }
    }
    if times.contains(where: { $0 != 1 }) { problem("\(unit): applied \(times) times") }
  }

  /// The state is that of the plain computation, to the bit, unless a wrong result has not been found yet.
  func checkState(of driver: SimulatedDriver) throws {
    if isDeceived(driver) { return outcome.count("steps with a lie in them") }
    guard let state = driver.engine?.state else { return }
    guard let expected = try driver.run.reference.bits(after: state.step) else {
      return problem("step \(state.step) was applied, and training ends before it")
    }
    if Reference.bits(of: state) != expected { problem("step \(state.step) has come to another state") }
  }

  /// An evaluation is due where the plain computation has one, and comes to the same; so does each trial of a scale.
  func checkEvaluation(_ loss: Double, of unit: WorkUnit, _ driver: SimulatedDriver) {
    if isDeceived(driver) { return }
    let reference = driver.run.reference
    let expected: Double?
    do {
      expected =
        if let scale = unit.adapterScale { try reference.trialLoss(scale: scale) } else {
          try reference.evaluationLoss(after: unit.step)
        }
    } catch { return problem("\(unit) cannot be checked: \(error)") }
    if expected?.bitPattern != loss.bitPattern {
      problem("\(unit) has come to \(loss), not \(expected ?? .nan)")
    }
  }

  /// Nothing is called committed that is not durable.
  func checkAcknowledgement(of attempt: Int, _ result: ResultOutcome, _ driver: SimulatedDriver) {
    guard result == .committed else { return }
    let disk = driver.run.disk
    guard let unit = driver.units[attempt] else {
      return problem("attempt \(attempt) was never handed out")
    }
    // Of the trials of scales nothing is written until the checkpoint that they lead to: a coordinator that is killed
    // before makes them again.
    guard unit.hasLoss, unit.adapterScale == nil else { return }
    let isDurable =
      unit.purpose == .train ? disk.lastStep >= unit.step : disk.evaluations[unit.step] != nil
    if !isDurable { problem("attempt \(attempt) is called committed, and \(unit) is not on the disk") }
  }

  /// Whoever stops a run finds it where it was, unless part of its state was with workers or nobody could be trusted.
  func checkStop(of driver: SimulatedDriver) {
    guard !driver.run.problem.usesWindows, !scenario.hasLiars else { return }
    let newest = driver.run.disk.snapshots.first?.step ?? 0
    let step = driver.core.progress.step
    if newest < step {
      problem("the run was stopped after step \(step), and its last snapshot is of step \(newest)")
    }
  }

  /// What a run has come to is what it comes to alone, without any cluster.
  func checkEnd(of driver: SimulatedDriver) {
    let run = driver.run
    if isDeceived(driver) {
      // Chance has it that nobody compared it.
      if run.problem.config.verifyFraction >= 1 { problem("a wrong result counts to the end") }
      return outcome.count("lies that were never found")
    }
    do { try checkEnd(of: driver, reference: run.reference.end()) } catch {
      problem("the end of \(run.number) cannot be checked: \(error)")
    }
  }

  private func checkEnd(of driver: SimulatedDriver, reference: (digest: String, step: Int)) throws {
    guard let engine = driver.engine else { return problem("the run ended without a state") }
    let (digest, step) = reference
    let disk = driver.run.disk
    let snapshot = try engine.snapshot()
    driver.run.digest = Reference.digest(of: snapshot.tensors, engine.state.optimizer.updateCounts)
    if engine.state.step != step { problem("the run ended after step \(engine.state.step), not \(step)") }
    if driver.run.digest != digest { problem("the final state is \(driver.run.digest), not \(digest)") }
    if disk.lastStep != step { problem("\(disk.lastStep) steps are committed, not \(step)") }
    let best = driver.run.reference.best
    if disk.best != best { problem("the best checkpoint is \(disk.best), not \(best)") }
    if disk.snapshots.first?.digest != StateDigest.of(snapshot.tensors) {
      problem("the last snapshot is not of the final state")
    }
  }

  /// Kept results are those of the open unit, so no more than its shards; connections are those that stand.
  func checkMemory(_ coordinator: SimulatedCoordinator) {
    for driver in coordinator.drivers.values { checkPayloads(of: driver) }
    if routes.count > 3 * workers.count + 100 + (scenario.hasHostileHellos ? 2000 : 0) {
      problem("\(routes.count) connections are known")
    }
    // Messages under way, and for each process its timer and what is on its queue. A burst is 200 messages of each worker,
    // and each may come twice; several may be under way.
    let each = scenario.incidents.contains(.burst) ? 1800 : 600
    if events.count > each * (workers.count + runs.count + (scenario.hasHostileHellos ? routes.count : 0)) {
      problem("\(events.count) things are still to come")
    }
  }

  private func checkPayloads(of driver: SimulatedDriver) {
    let (count, problem) = (driver.kept.count, driver.run.problem)
    outcome.peakPayloads = max(outcome.peakPayloads, count)
    let limit = problem.config.gradientAccumulationSteps * max(1, problem.tierCount)
    // While results differ, each of them is kept.
    let opinions = scenario.hasLiars ? 4 : 1
    if count > opinions * max(limit, problem.evaluationCount) { self.problem("\(count) results are kept") }
  }

  /// Once a second: nothing waits past its deadline, and nobody idle waits while there is work.
  func watch() {
    events.add(.watch, at: now + 1)
    watchTransfers()
    // Nobody is judged at once by a loop that stood still.
    guard let coordinator, now.seconds(since: coordinator.stalledUntil) > 4 else { return }
    watchKeys(coordinator)
    for driver in coordinator.inOrder { watch(driver, coordinator) }
  }

  private func watch(_ driver: SimulatedDriver, _ coordinator: SimulatedCoordinator) {
    let step = driver.core.progress.step
    if driver.core.activity?.isPaused == true, driver.run.disk.snapshots.first?.step ?? 0 < step {
      problem("\(driver.number) rests after step \(step) without a snapshot of it")
    }
    watchNews(of: driver)
    guard let status = coordinator.fleet.status(of: driver.number) else { return }
    let clock = coordinator.clock(now)
    if let deadline = status.deadline, clock.seconds(since: deadline) > 4 {
      problem("\(driver.number), \(status.run), waits past its deadline: \(status.reason)")
    }
    let idle = status.workers.contains { $0.state == .ready }
    if idle, status.run == .paused, status.pause == .noWorkers {
      problem("\(driver.number) is paused although a worker is ready")
    }
    // Chains can only be collected from the worker that keeps them, and not checked by the one that sent them.
    let isOpenToAll = status.unit?.purpose != .collect && !driver.core.isAuditing
    if idle, isOpenToAll, status.shards.contains(where: { $0.state == .pending && $0.deadline == nil }) {
      let names = status.shards.filter { $0.state == .pending }.map { "\($0.name): \($0.reason)" }
      problem("a shard is pending although a worker is ready: \(names.joined(separator: "; "))")
    }
    for worker in status.workers where clock.seconds(since: worker.lastHeard) > 12 {
      problem("worker \(worker.id) has been silent for \(clock.seconds(since: worker.lastHeard)) s")
    }
  }
}
