import Training
import Coordination
import NestedLearning
import Service
import WireProtocol

/// Windows in the course of a run, as CoordinatorService has them.
extension Simulation {
  func book(_ coordinator: SimulatedCoordinator) -> WindowTracker {
    WindowTracker(
      clock: WindowClock(scenario.problem.scheduler.tiers),
      microBatchCount: scenario.problem.config.gradientAccumulationSteps, step: coordinator.progress.step,
      alwaysLoose: scenario.problem.config.verifyFraction >= 1)
  }

  func isFlush(_ step: Int, _ coordinator: SimulatedCoordinator) -> Bool {
    let config = scenario.problem.config
    guard scenario.problem.usesWindows else { return false }
    return step % config.flushEvery == 0 || step == config.numSteps || step == coordinator.replayedUpTo
      || step - coordinator.snapshots.lastStep >= SnapshotSchedule.mostSteps
  }

  func takeBatches(of step: Int, _ coordinator: SimulatedCoordinator) {
    coordinator.batches = scenario.problem.microBatches(step: step)
    coordinator.unitTokens = coordinator.batches.reduce(0) { $0 + $1.trainedTokens }
  }

  /// The tiers that have a window open after the last step.
  private func openTiers(_ coordinator: SimulatedCoordinator) -> [Int] {
    let step = coordinator.progress.step
    return scenario.problem.scheduler.tiers.filter { step > 0 && !$0.isActive(at: step) }.map(\.index)
  }

  /// Whether all chains are here.
  func hasAllWindows(_ coordinator: SimulatedCoordinator) -> Bool {
    coordinator.core.windows?.gaps(tiers: openTiers(coordinator), through: coordinator.progress.step).isEmpty
      ?? true
  }

  func completeWindows(_ then: @escaping (Simulation) -> Void) {
    guard let coordinator else { return }
    completeWindows(of: openTiers(coordinator), through: coordinator.progress.step, then)
  }

  /// Has what these tiers' chains lack collected, and computed again where nobody keeps it; then goes on.
  func completeWindows(of tiers: [Int], through step: Int, _ then: @escaping (Simulation) -> Void) {
    guard let coordinator else { return }
    guard let gaps = coordinator.core.windows?.gaps(tiers: tiers, through: step), !gaps.isEmpty else {
      return then(self)
    }
    let count = scenario.problem.config.gradientAccumulationSteps
    let unit: WorkUnit
    if !gaps.collect.isEmpty {
      outcome.count("windows collected")
      unit = gaps.collectUnit(step: step, microBatchCount: count)
    } else if let again = gaps.recomputeUnit(microBatchCount: count, versions: coordinator.archive.versions) {
      outcome.count("windows recomputed")
      unit = again
    } else {
      return problem("a window lacks gradients whose parameters are not kept any more")
    }
    coordinator.doing = "waits for \(unit)"
    coordinator.whenComplete = { simulation in
      simulation.completeWindows(of: tiers, through: step, then)
    }
    handle(.open(unit))
  }

  /// Chains that a worker goes on from.
  func sendWindow(
    _ peer: PeerID, _ session: SessionID, _ keys: [WindowKey], through step: Int,
    _ coordinator: SimulatedCoordinator
  ) {
    let clock = WindowClock(scenario.problem.scheduler.tiers)
    var message = WindowMessage(step: step, firsts: [], chains: [])
    for key in keys {
      guard let values = coordinator.engine.chain(of: key, through: step) else { continue }
      message.firsts.append(clock.start(tier: key.tier, step: step))
      message.chains.append(WindowChain(tier: key.tier, microBatch: key.microBatch, floats: values))
    }
    if !message.chains.isEmpty { _ = deliver(.window(message), to: peer, session: session) }
  }
}
