import Coordination
import NestedLearning
import Service
import Training
import WireProtocol

/// What the run wants done, as RunDriver does it.
extension Simulation {
  func carryOut(_ effects: [RunEffect], _ driver: SimulatedDriver) {
    let coordinator = coordinator
    for effect in effects {
      carryOut(effect, driver)
      guard self.coordinator === coordinator else { return }
    }
  }

  private func carryOut(_ effect: RunEffect, _ driver: SimulatedDriver) {
    func request(_ request: RunRequest) { handle(.requested(driver.number, request)) }
    switch effect {
    case .publish(let versions, let windows):
      request(.parametersChanged(versions))
      request(.windows(windows))
    case .parametersChanged(let versions): request(.parametersChanged(versions))
    case .adopt(let plan):
      outcome.count("tier plans that followed")
      if plan.movesModules { outcome.count("tier plans that moved modules") }
      request(.clock(plan.clock))
      compute(driver, "tier plan \(plan.number) begins") {
        $1.adopt(plan)
        return .adopted
      }
    case .open(let unit): request(.open(unit))
    case .completeWindows(let request): handle(.requested(driver.number, .completeWindows(request)))
    case .hurry: request(.hurry)
    case .abandon: request(.abandon)
    case .acknowledge(let unit): request(.committed(unit))
    case .distrust(let workerID, let identity, let reason):
      outcome.count("wrong chains found")
      request(.distrust(workerID: workerID, identity: identity, reason: reason))
    case .rest(let rests): rest(driver, rests)
    case .drain: request(.close)
    case .keep(let results):
      compute(driver, "results are kept") {
        try $1.keep(results)
        return .kept
      }
    case .audit(let task):
      outcome.count("parts of audits")
      compute(driver, "partial sums are compared") { try $1.audit(task).map { .judged($0) } }
    case .apply(let step, let losses, let results, let course):
      compute(driver, "step \(step) is applied") { simulation, engine in
        let applied = try engine.apply(step: step, losses: losses, results: results, course)
        try simulation.checkState(of: driver)
        simulation.outcome.steps += 1
        return .applied(applied)
      }
    case .skip(let step, let course):
      compute(driver, "step \(step) is passed over") { simulation, engine in
        let applied = try engine.skip(step: step, course)
        try simulation.checkState(of: driver)
        simulation.outcome.steps += 1
        return .applied(applied)
      }
    case .restore: restore(driver)
    case .write(let write): self.write(write, driver)
    case .reopenLedger: reopenLedger(driver)
    case .tell(let news): tell(news)
    case .armTimer(let instant): armRunTimer(instant, driver)
    case .end(let ending): end(driver, ending)
    }
  }

  private func armRunTimer(_ instant: Instant, _ driver: SimulatedDriver) {
    driver.timer += 1
    guard instant != .never, let coordinator else { return }
    events.add(
      .runTimer(life: coordinator.life, driver.number, generation: driver.timer),
      at: max(now, coordinator.time(of: instant)), isTimer: true)
  }

  private func tell(_ news: RunNews) {
    switch news {
    case .info(let text), .notice(let text), .error(let text): note("run: \(text)")
    case .newStep(let step, _): newStep(step.applied.step)
    case .step, .evaluation, .scale, .scaled, .spent, .stands: break
    }
  }

  private func newStep(_ step: Int) {
    onCommit?(step)
    guard !isFaulty, outcome.secondsToNextCommit == nil else { return }
    outcome.secondsToNextCommit = now.seconds(since: faultsEnd)
  }

  // MARK: - Beside the loop

  /// Does something for a run later, beside the coordinator's loop, after all of its that was begun before; never, if the
  /// coordinator is gone by then.
  func beside(
    _ driver: SimulatedDriver, _ name: String, _ seconds: Double, _ work: @escaping (Simulation) -> Void
  ) {
    guard let coordinator else { return }
    let done = max(now, driver.queueIsFree) + seconds * Double.random(in: 0.5...2, using: &random)
    driver.queueIsFree = done
    events.add(.coordinatorWork(life: coordinator.life, name: name, work), at: done)
  }

  /// Does something for no run that is at work, beside the coordinator's loop.
  func after(_ name: String, _ seconds: Double, _ work: @escaping (Simulation) -> Void) {
    guard let coordinator else { return }
    let done = now + seconds * Double.random(in: 0.5...2, using: &random)
    events.add(.coordinatorWork(life: coordinator.life, name: name, work), at: done)
  }

  /// Has the engine do something; its answer, if there is one, comes as an event.
  private func compute(
    _ driver: SimulatedDriver, _ name: String,
    _ work: @escaping (Simulation, StepEngine) throws -> RunEvent?
  ) {
    beside(driver, name, 0.0005) { simulation in
      guard let engine = driver.engine else { return simulation.problem("\(name), and there is no state") }
      do {
        if simulation.breaksEngine(of: driver) { throw EngineBroken() }
        if let event = try work(simulation, engine) { simulation.tell(driver, event) }
      } catch {
        simulation.tell(driver, .engineFailed(error))
      }
    }
  }

  /// Whether the arithmetic of a run fails now, as none of ours does.
  private func breaksEngine(of driver: SimulatedDriver) -> Bool {
    guard isFaulty, scenario.engineFailures > 0, random.chance(scenario.engineFailures) else { return false }
    outcome.count(.engineBroken)
    return true
  }

  private func restore(_ driver: SimulatedDriver) {
    beside(driver, "the state is restored", 0.001) { simulation in
      do {
        let (engine, run) = try simulation.restored(driver.run)
        driver.engine = engine
        simulation.tell(driver, .restored(run))
      } catch {
        simulation.tell(driver, .restoreFailed(error))
      }
    }
  }

  /// The state of the last snapshot, or the one before step 1.
  private func restored(_ run: SimulatedRun) throws -> (StepEngine, RestoredRun) {
    if let store = run.store { return try restored(run, from: store) }
    let (engine, progress) = try state(of: run)
    let disk = run.disk
    let restored = RestoredRun(
      progress: progress, tiers: engine.tierValues(), copies: engine.copyStates(),
      slowestCopy: engine.slowestCopy(), lastStep: disk.lastStep,
      evaluations: disk.evaluations.filter { $0.key >= progress.step },
      accuracies: disk.accuracies.values.filter { $0.step >= progress.step }, toUndo: disk.identitiesToUndo,
      shards: disk.shards.filter { $0.key > progress.step })
    return (engine, restored)
  }

  private func state(of run: SimulatedRun) throws -> (engine: StepEngine, progress: RunProgress) {
    let problem = run.problem
    guard let snapshot = run.disk.snapshots.first else {
      return (StepEngine(state: try problem.initialState()), RunProgress())
    }
    if StateDigest.of(snapshot.trainer.tensors) != snapshot.digest {
      self.problem("the snapshot of step \(snapshot.step) is not what was written")
    }
    let plans = PlanCourse(config: problem.config, scheduler: problem.scheduler)
      .after(snapshot.progress.followed.accuracies)
    let state = try NestedTrainerState(
      config: problem.config, scheduler: plans.plan.scheduler, shapes: problem.shapes,
      snapshot: snapshot.trainer)
    return (StepEngine(state: state), snapshot.progress)
  }
}
