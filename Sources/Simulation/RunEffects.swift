import Coordination
import NestedLearning
import Service
import Training
import WireProtocol

/// What the run wants done, as RunDriver does it.
extension Simulation {
  func carryOut(_ effects: [RunEffect], _ coordinator: SimulatedCoordinator) {
    for effect in effects {
      carryOut(effect, coordinator)
      guard self.coordinator === coordinator else { return }
    }
  }

  private func carryOut(_ effect: RunEffect, _ coordinator: SimulatedCoordinator) {
    switch effect {
    case .publish(let versions, let windows):
      request(.parametersChanged(versions))
      request(.windows(windows))
    case .parametersChanged(let versions): request(.parametersChanged(versions))
    case .open(let unit): request(.open(unit))
    case .completeWindows(let request): self.request(.completeWindows(request))
    case .hurry: request(.hurry)
    case .abandon: request(.abandon)
    case .acknowledge(let unit): request(.committed(unit))
    case .distrust(let workerID, let identity, let reason):
      outcome.count("wrong chains found")
      request(.distrust(workerID: workerID, identity: identity, reason: reason))
    case .rest(let rests): handle(.rest(SimulatedCoordinator.number, rests))
    case .drain:
      coordinator.expectsEnds = true
      request(.close)
    case .keep(let results):
      compute("results are kept") {
        try $1.keep(results)
        return .kept
      }
    case .audit(let task):
      outcome.count("parts of audits")
      compute("partial sums are compared") { try $1.audit(task).map { .judged($0) } }
    case .apply(let step, let lossSum, let tokens, let results):
      compute("step \(step) is applied") { simulation, engine in
        let applied = try engine.apply(step: step, lossSum: lossSum, tokens: tokens, results: results)
        try simulation.checkState(coordinator)
        simulation.outcome.steps += 1
        return .applied(applied)
      }
    case .skip(let step):
      compute("step \(step) is passed over") { simulation, engine in
        let applied = try engine.skip(step: step)
        try simulation.checkState(coordinator)
        simulation.outcome.steps += 1
        return .applied(applied)
      }
    case .restore(let withShards): restore(coordinator, withShards: withShards)
    case .write(let write): self.write(write, coordinator)
    case .reopenLedger: reopenLedger()
    case .tell(let news): tell(news)
    case .armTimer(let instant): armRunTimer(instant, coordinator)
    case .end(let ending): end(ending)
    }
  }

  private func request(_ request: RunRequest) { handle(.requested(SimulatedCoordinator.number, request)) }

  private func armRunTimer(_ instant: Instant, _ coordinator: SimulatedCoordinator) {
    coordinator.runTimer += 1
    guard instant != .never else { return }
    events.add(
      .runTimer(life: coordinator.life, generation: coordinator.runTimer),
      at: max(now, coordinator.time(of: instant)), isTimer: true)
  }

  private func tell(_ news: RunNews) {
    switch news {
    case .info(let text), .notice(let text), .error(let text): note("run: \(text)")
    case .newStep(let step, _): newStep(step.applied.step)
    case .step, .evaluation, .spent, .stands: break
    }
  }

  private func newStep(_ step: Int) {
    onCommit?(step)
    guard !isFaulty, outcome.secondsToNextCommit == nil else { return }
    outcome.secondsToNextCommit = now.seconds(since: faultsEnd)
  }

  // MARK: - Beside the loop

  /// Does something later, beside the coordinator's loop, after all that was begun before; never, if the coordinator is
  /// gone by then.
  func beside(_ name: String, _ seconds: Double, _ work: @escaping (Simulation) -> Void) {
    guard let coordinator else { return }
    let done = max(now, coordinator.queueIsFree) + seconds * Double.random(in: 0.5...2, using: &random)
    coordinator.queueIsFree = done
    events.add(.coordinatorWork(life: coordinator.life, name: name, work), at: done)
  }

  /// Has the engine do something; its answer, if there is one, comes as an event.
  private func compute(
    _ name: String, _ work: @escaping (Simulation, StepEngine) throws -> RunEvent?
  ) {
    beside(name, 0.0005) { simulation in
      guard let engine = simulation.coordinator?.engine else {
        return simulation.problem("\(name), and there is no state")
      }
      do {
        if let event = try work(simulation, engine) { simulation.tell(event) }
      } catch {
        simulation.tell(.engineFailed(error))
      }
    }
  }

  private func restore(_ coordinator: SimulatedCoordinator, withShards: Bool) {
    beside("the state is restored", 0.001) { simulation in
      do {
        let (engine, run) = try simulation.restored(withShards: withShards)
        coordinator.engine = engine
        simulation.tell(.restored(run))
      } catch {
        simulation.tell(.restoreFailed(error))
      }
    }
  }

  /// The state of the last snapshot, or the one before step 1.
  private func restored(withShards: Bool) throws -> (StepEngine, RestoredRun) {
    if let store { return try restoredFromStore(store, withShards: withShards) }
    let (engine, progress) = try restored()
    let run = RestoredRun(
      progress: progress, tiers: engine.tierValues(), lastStep: disk.lastStep,
      evaluations: disk.evaluations.filter { $0.key >= progress.step }, toUndo: disk.identitiesToUndo,
      shards: withShards ? disk.shards : [:])
    return (engine, run)
  }

  private func restored() throws -> (engine: StepEngine, progress: RunProgress) {
    let problem = scenario.problem
    guard let snapshot = disk.snapshots.first else {
      return (StepEngine(state: try problem.initialState()), RunProgress())
    }
    if StateDigest.of(snapshot.trainer.tensors) != snapshot.digest {
      self.problem("the snapshot of step \(snapshot.step) is not what was written")
    }
    let state = try NestedTrainerState(
      config: problem.config, scheduler: problem.scheduler, shapes: problem.shapes, snapshot: snapshot.trainer
    )
    return (StepEngine(state: state), snapshot.progress)
  }

  // MARK: - Ends

  private func end(_ ending: RunEnding) {
    guard let coordinator else { return }
    coordinator.ending = ending
    switch ending {
    case .completed, .stoppedEarly: note("the run is over")
    case .stopped: checkStop()
    case .failed(let error): return fail("\(error)")
    }
    // Without having let them go in order it leaves the workers to join again.
    guard coordinator.expectsEnds else { return endCoordinator(restart: true) }
    handle(.close)
  }

  /// All workers have been sent away, after the end of the run.
  func closed() {
    switch coordinator?.ending {
    case .completed, .stoppedEarly: outcome.finished = true
    case .stopped: endCoordinator(restart: true)
    case .failed, nil: problem("the workers were sent away before the run was over")
    }
  }

  /// The run cannot go on: the process ends and says why, and its user resumes it.
  private func fail(_ reason: String) {
    note("the run fails: \(reason)")
    if reason.contains("do not trust this run"), isDeceived {
      // A snapshot holds a lie that nobody compared, and a replay has come to something else: what is then to be done is
      // for the user to say.
      outcome.count("a lie in a snapshot ended the run")
      outcome.finished = true
      return
    }
    outcome.count("run failed and resumed")
    // In no scenario does every identity fail for as long as a run has patience with that; a stop may find the disk at
    // fault, or this process standing still.
    let isExpected =
      reason.contains("could not be written: ") && hasDiskFaults
      || reason.contains("could not be written down within")
        && (hasDiskFaults || outcome.faults[.coordinatorStalled] != nil)
    if !isExpected || now > faultsEnd + 30 { return problem("the run failed: \(reason)") }
    endCoordinator(restart: true)
  }
}
