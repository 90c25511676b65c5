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
  func checkState(_ coordinator: SimulatedCoordinator) throws {
    if isDeceived { return outcome.count("steps with a lie in them") }
    guard let state = coordinator.engine?.state else { return }
    guard let expected = try reference.bits(after: state.step) else {
      return problem("step \(state.step) was applied, and training ends before it")
    }
    if Reference.bits(of: state) != expected { problem("step \(state.step) has come to another state") }
  }

  func checkEvaluation(_ loss: Double, step: Int) {
    if isDeceived { return }
    let expected = try? reference.evaluationLoss(after: step)
    if expected?.bitPattern != loss.bitPattern {
      problem("the evaluation after step \(step) has come to \(loss), not \(expected ?? .nan)")
    }
  }

  /// Nothing is called committed that is not durable.
  func checkAcknowledgement(of attempt: Int, _ result: ResultOutcome, _ coordinator: SimulatedCoordinator) {
    guard result == .committed else { return }
    guard let unit = coordinator.units[attempt] else {
      return problem("attempt \(attempt) was never handed out")
    }
    guard unit.hasLoss else { return }
    let isDurable =
      unit.purpose == .train ? disk.lastStep >= unit.step : disk.evaluations[unit.step] != nil
    if !isDurable { problem("attempt \(attempt) is called committed, and \(unit) is not on the disk") }
  }

  /// Whoever stops a run finds it where it was, unless part of its state was with workers or nobody could be trusted.
  func checkStop() {
    guard let run = coordinator?.run, !scenario.problem.usesWindows, !scenario.hasLiars else { return }
    let newest = disk.snapshots.first?.step ?? 0
    if newest < run.progress.step {
      problem(
        "the run was stopped after step \(run.progress.step), and its last snapshot is of step \(newest)")
    }
  }

  func checkEnd() throws {
    if isDeceived {
      // Chance has it that nobody compared it.
      if scenario.problem.config.verifyFraction >= 1 { problem("a wrong result counts to the end") }
      return outcome.count("lies that were never found")
    }
    let (digest, step) = try reference.end()
    guard let state = coordinator?.engine?.state else {
      return problem("the run ended without a coordinator")
    }
    let snapshot = try coordinator?.engine?.snapshot()
    outcome.digest = Reference.digest(of: snapshot?.tensors ?? [], state.optimizer.updateCounts)
    if state.step != step { problem("the run ended after step \(state.step), not \(step)") }
    if outcome.digest != digest { problem("the final state is \(outcome.digest), not \(digest)") }
    if disk.lastStep != step { problem("\(disk.lastStep) steps are committed, not \(step)") }
    if disk.best != reference.best { problem("the best checkpoint is \(disk.best), not \(reference.best)") }
    if disk.snapshots.first?.digest != StateDigest.of(snapshot?.tensors ?? []) {
      problem("the last snapshot is not of the final state")
    }
  }

  /// Kept results are those of the open unit, so no more than its shards; connections are those that stand.
  func checkMemory(_ coordinator: SimulatedCoordinator) {
    outcome.peakPayloads = max(outcome.peakPayloads, coordinator.payloads.count)
    let limit = scenario.problem.config.gradientAccumulationSteps * max(1, scenario.problem.tierCount)
    // While results differ, each of them is kept.
    let opinions = scenario.hasLiars ? 4 : 1
    if coordinator.payloads.count > opinions * max(limit, scenario.problem.evaluationCount) {
      problem("\(coordinator.payloads.count) results are kept")
    }
    if routes.count > 3 * workers.count + 100 { problem("\(routes.count) connections are known") }
    // Messages under way, and for each process its timer and what is on its queue.
    if events.count > 600 * (workers.count + 1) { problem("\(events.count) things are still to come") }
  }

  /// Once a second: nothing waits past its deadline, and nobody idle waits while there is work.
  func watch() {
    events.add(.watch, at: now + 1)
    watchTransfers()
    // Nobody is judged at once by a loop that stood still.
    guard let coordinator, now.seconds(since: coordinator.stalledUntil) > 4 else { return }
    if coordinator.run.activity?.isPaused == true,
      disk.snapshots.first?.step ?? 0 < coordinator.run.progress.step
    {
      problem("the run rests after step \(coordinator.run.progress.step) without a snapshot of it")
    }
    guard let status = coordinator.status else { return }
    let clock = coordinator.clock(now)
    if let deadline = status.deadline, clock.seconds(since: deadline) > 4 {
      problem("\(status.run) waits past its deadline: \(status.reason)")
    }
    let idle = status.workers.contains { $0.state == .ready }
    if idle, status.run == .paused, status.pause == .noWorkers {
      problem("the run is paused although a worker is ready")
    }
    // Chains can only be collected from the worker that keeps them, and not checked by the one that sent them.
    let isOpenToAll = status.unit?.purpose != .collect && !coordinator.run.isAuditing
    if idle, isOpenToAll, status.shards.contains(where: { $0.state == .pending && $0.deadline == nil }) {
      let names = status.shards.filter { $0.state == .pending }.map { "\($0.name): \($0.reason)" }
      problem("a shard is pending although a worker is ready: \(names.joined(separator: "; "))")
    }
    for worker in status.workers where clock.seconds(since: worker.lastHeard) > 12 {
      problem("worker \(worker.id) has been silent for \(clock.seconds(since: worker.lastHeard)) s")
    }
  }
}
