import Coordination
import NestedLearning
import Training
import WireProtocol

/// Runs that begin and end within a coordinator process, as FleetService has them begin and end.
extension Simulation {
  /// Begins as many of the runs that wait as may be at work together.
  func beginNext() {
    guard let coordinator else { return }
    while let number = coordinator.queue.next() {
      let run = run(number)
      if runs.count == 1 {
        begin(run, coordinator)
      } else {
        after("\(number) is made ready", scenario.diskSeconds) { $0.prepare(run, coordinator) }
      }
      guard self.coordinator === coordinator else { return }
    }
    handle(.expectsRuns(!coordinator.queue.notBegun.isEmpty))
    if coordinator.queue.isOver { closeFleet(coordinator) }
  }

  func run(_ number: RunNumber) -> SimulatedRun { runs[Int(number.value) - 1] }

  /// One of several runs, when it is its turn.
  private func prepare(_ run: SimulatedRun, _ coordinator: SimulatedCoordinator) {
    guard !run.isDone else { return ended(run, sendsAway: true, coordinator) }
    switch beginTerm(of: run) {
    case .begun: begin(run, coordinator)
    case .failed:
      note("\(run.number) cannot begin")
      ended(run, sendsAway: true, coordinator)
    case .killed: killCoordinator(.coordinatorKilledAtPersist)
    }
  }

  private func begin(_ run: SimulatedRun, _ coordinator: SimulatedCoordinator) {
    guard coordinator.queue.begins(run.number) else {
      note("\(run.number) is not begun")
      return beginNext()
    }
    outcome.count("terms")
    run.store?.couldNotBeRead = false
    let problem = run.problem
    var rules = RunRules(
      config: problem.config, plan: TierPlan(scheduler: problem.scheduler), batches: problem,
      stateBytes: 1000,
      resumeCommand: "nl-coord resume")
    rules.keepsWorkersAtStop = scenario.keepsWorkersAtStop
    let clock = coordinator.clock(now)
    let driver = SimulatedDriver(run, term: run.disk.term, core: RunCore(rules: rules, now: clock))
    coordinator.drivers[run.number] = driver
    note("\(run.number) begins term \(driver.term)")
    handle(.begin(run.number, settings(of: run)))
    guard self.coordinator === coordinator else { return }
    carryOut(driver.core.begin(now: clock), driver)
  }

  private func settings(of run: SimulatedRun) -> SchedulerSettings {
    var settings = SchedulerSettings(
      term: run.disk.term, run: run.name,
      tierParameterCounts: run.problem.scheduler.tiers.map(\.parameterCount), modelSHA256: run.model,
      numericProfile: "toy")
    settings.expectedLocalWorkers = workers.count { $0.plan.isLocal } / max(1, scenario.parallelRuns)
    settings.initialLeaseSeconds = scenario.initialLeaseSeconds
    settings.probeSHA256 = Self.rightProbe
    // So that the order of results is kept however small they are.
    settings.resultBytes = 0
    settings.verifyFraction = run.problem.config.verifyFraction
    settings.verifySeed = random.next()
    settings.quarantined = Set(run.disk.quarantined)
    return settings
  }

  func rest(_ driver: SimulatedDriver, _ rests: Bool) {
    guard let coordinator else { return }
    coordinator.queue.rest(driver.number, rests)
    handle(.rest(driver.number, rests))
    if rests, self.coordinator === coordinator { beginNext() }
  }

  // MARK: - Ends

  /// A run is over in this process, in one way or another.
  func end(_ driver: SimulatedDriver, _ ending: RunEnding) {
    guard let coordinator else { return }
    switch ending {
    case .completed, .stoppedEarly:
      note("\(driver.number) is over")
      checkEnd(of: driver)
      driver.run.isDone = true
    case .stopped:
      checkStop(of: driver)
      checkWorkersAtStop(of: driver)
    case .failed(let error): fail(driver, "\(error)")
    }
    guard self.coordinator === coordinator else { return }
    coordinator.drivers[driver.number] = nil
    ended(driver.run, sendsAway: driver.isDrained, coordinator)
  }

  private func ended(_ run: SimulatedRun, sendsAway: Bool, _ coordinator: SimulatedCoordinator) {
    coordinator.queue.ended(run.number, sendsAway: sendsAway)
    handle(.requested(run.number, .close))
    if self.coordinator === coordinator { beginNext() }
  }

  /// No run is left.
  private func closeFleet(_ coordinator: SimulatedCoordinator) {
    // Without having let them go in order it leaves the workers to join again.
    guard coordinator.queue.sendsAway else { return endCoordinator(restart: true) }
    coordinator.expectsEnds = true
    handle(.close)
  }

  /// All workers have been sent away, after the end of the last run.
  func closed() {
    if coordinator?.drivers.isEmpty != true {
      problem("the workers were sent away before all runs were over")
    }
    outcome.finished = runs.allSatisfy(\.isDone)
    if !outcome.finished { endCoordinator(restart: true) }
  }

  /// A run cannot go on: it ends and says why, and its user resumes it.
  private func fail(_ driver: SimulatedDriver, _ reason: String) {
    note("\(driver.number) fails: \(reason)")
    if reason.contains("do not trust this run"), mayEndDeceived(driver, reason) {
      // A snapshot holds a lie that nobody compared, and a replay has come to something else: what is then to be done is
      // for the user to say.
      outcome.count("a lie in a snapshot ended the run")
      driver.run.isDone = true
      outcome.finished = runs.allSatisfy(\.isDone)
      return
    }
    outcome.count("run failed and resumed")
    if coordinator?.drivers.isEmpty == false, runs.count > 1 { outcome.count("run failed beside others") }
    // In no scenario does every identity fail for as long as a run has patience with that; a stop may find the disk at
    // fault, or this process standing still.
    let isExpected =
      reason.contains("could not be written: ") && hasDiskFaults && coordinator?.queue.isStopped == true
      || reason.contains("could not be written down within")
        && (hasDiskFaults || outcome.faults[.coordinatorStalled] != nil)
      || reason.contains(EngineBroken.reason) || driver.run.store?.couldNotBeRead == true
    if !isExpected || now > faultsEnd + 30 { problem("\(driver.number) failed: \(reason)") }
  }
}

/// The arithmetic of a run that cannot go on, as with a full memory: of no run beside it.
struct EngineBroken: Error, CustomStringConvertible {
  static let reason = "the engine is broken on purpose"
  var description: String { Self.reason }
}
