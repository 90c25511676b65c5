import Coordination

/// Faults that come at times and places of their own.
extension Simulation {
  /// One after the other, until faults stop.
  func incident() {
    guard isFaulty, let kind = scenario.incidents.randomElement(using: &random) else { return }
    let place = Int.random(in: workers.indices, using: &random)
    strike(kind, place: place, seconds: random.logarithmic(0.2...20))
    events.add(
      .incident, at: now + Double.random(in: 0...(2 * scenario.incidentSeconds), using: &random))
  }

  /// - Parameter seconds: how long it lasts, at most until faults stop.
  func strike(_ kind: FaultKind, place: Int, seconds: Double) {
    let until = min(now + seconds, faultsEnd)
    guard concerns(kind, place) else { return }
    note("FAULT: \(kind.rawValue), worker \(place), until \(until)")
    outcome.count(kind)
    switch kind {
    case .workerKilled:
      endWorker(place, flushing: false)
      if !workers[place].plan.isLocal { events.add(.workerStart(place: place), at: until) }
    case .workerFrozen:
      workers[place].frozenUntil = max(workers[place].frozenUntil, until)
      // Its own standstill is nobody's stall.
      workers[place].link.excuse(max(0, until.seconds(since: now)))
    case .workerHung: hang(place, until: until)
    case .workerSlow: workers[place].slowUntil = until
    case .workerLeaves: tell(place, .terminate)
    case .connectionCut: cut(place)
    case .partition:
      partitions.append(Partition(place: place, direction: .up, until: until))
      partitions.append(Partition(place: place, direction: .down, until: until))
    case .partitionOneWay:
      let direction = Bool.random(using: &random) ? Direction.up : .down
      partitions.append(Partition(place: place, direction: direction, until: until))
    case .coordinatorKilled: endCoordinator(restart: true)
    case .coordinatorStalled:
      guard let coordinator else { return }
      coordinator.stalledUntil = max(coordinator.stalledUntil, min(until, now + 10))
      for id in routes.keys { routes[id]?.link.excuse(max(0, min(10, until.seconds(since: now)))) }
    case .clockJump:
      // An hour forwards, then two backwards, and so on.
      wallClockOffset += wallClockOffset > 0 ? -7_200_000 : wallClockOffset < 0 ? 7_200_000 : 3_600_000
    case .diskFault: diskFaultUntil = max(diskFaultUntil, until)
    case .burst: burst()
    case .keyStruck: strikeKey(of: place, until: until)
    case .helloFlood: floodHellos(of: place)
    case .runStopped: stopRuns()
    case .runPaused: pauseRun(until: until)
    default: break
    }
  }

  /// By Ctrl-C, which has no deadline, or by whatever ends processes, which has.
  private func stopRuns() {
    guard let coordinator else { return }
    let grace = random.logarithmic(0.1...10)
    let hasDeadline = random.chance(0.5)
    if hasDeadline { outcome.count("stops with a deadline") }
    guard !coordinator.queue.isStopped else { return }
    let waiting = coordinator.queue.stop()
    if !waiting.isEmpty { outcome.count("stops while runs wait") }
    if hasDeadline { expectEnd(of: coordinator, at: now + grace + Self.closingSeconds) }
    for driver in coordinator.inOrder {
      tell(driver, .stop(deadline: hasDeadline ? coordinator.clock(now) + grace : .never))
    }
    if self.coordinator === coordinator { beginNext() }
  }

  /// What writing everything down may take once the grace is over, and some seconds for sending the workers away.
  private static let closingSeconds = 15.0

  /// A stop is bounded, but for the time in which the coordinator's own loop stands still.
  private func expectEnd(of coordinator: SimulatedCoordinator, at time: Instant) {
    let check = Event.coordinatorWork(life: coordinator.life, name: "a stop is to be over") { simulation in
      let earliest = coordinator.stalledUntil + Self.closingSeconds
      guard simulation.now >= earliest else { return simulation.expectEnd(of: coordinator, at: earliest) }
      let waits = coordinator.inOrder.map(\.core.waitsFor).joined(separator: "; ")
      simulation.problem("a coordinator that was to stop goes on: \(waits)")
    }
    events.add(check, at: time)
  }

  private func pauseRun(until: Instant) {
    guard let coordinator, var driver = coordinator.inOrder.first else { return }
    if runs.count > 1 {
      driver = coordinator.inOrder.randomElement(using: &random) ?? driver
      outcome.count("one of several runs paused")
    }
    tell(driver, .pause)
    let resume = Event.coordinatorWork(life: coordinator.life, name: "\(driver.number) is resumed") {
      $0.tell(driver, .resume)
    }
    events.add(resume, at: until)
  }

  /// Whether there is somebody whom it can strike.
  private func concerns(_ kind: FaultKind, _ place: Int) -> Bool {
    switch kind {
    case .workerKilled, .workerFrozen, .workerHung, .workerSlow, .workerLeaves, .connectionCut:
      workers[place].isAlive
    case .coordinatorKilled, .coordinatorStalled, .clockJump, .runStopped, .runPaused: coordinator != nil
    case .partition, .partitionOneWay, .diskFault, .burst: true
    case .keyStruck: workers[place].plan.key.map(allowedKeys.contains) ?? false
    case .helloFlood: workers[place].plan.altersHello > 0 && workers[place].isAlive && coordinator != nil
    // They come with a message, a shard or a worker.
    default: false
    }
  }
}

extension Scenario {
  /// After faults have stopped, what the rest of the run may take: every step once more on one slow worker, and time
  /// for the waits that the faults have left behind.
  var secondsAfterFaults: Double { graceSeconds * Double(problems.count) + workSeconds }

  /// What all of the run takes on the slowest worker alone, at most.
  var workSeconds: Double {
    problems.map(workSeconds(of:)).reduce(0, +)
  }

  private func workSeconds(of problem: ToyProblem) -> Double {
    let config = problem.config
    // The scales of an adapter are tried after training, each by an evaluation.
    let evaluations = config.numSteps / max(1, config.evalEvery) + (config.selectScale ? 20 : 1)
    let microBatches =
      config.numSteps * config.gradientAccumulationSteps + evaluations * problem.evaluationCount
    let slowest = workers.map(\.slowness).max() ?? 1
    let turns = Double(3 * (config.numSteps + evaluations))
    let times = config.verifyFraction > 0 ? 2.0 : 1
    let message = 4 * latencySeconds + 50_000 / bandwidth
    return times * Double(microBatches) * computeSeconds * slowest * 1.5 + turns
      * (4 * diskSeconds + 20 * message)
  }
}
