import Coordination
import NestedLearning
import WireProtocol

/// Windows in the run: when chains are flushed, and what is fetched before a step can be applied or a snapshot written.
extension CoordinatorService {
  /// The windows as the engine has them, for the core; everything that workers keep is void.
  func publishWindows() throws {
    archive = ParameterHistory()
    guard plan.usesWindows else { return }
    let book = WindowTracker(
      clock: WindowClock(plan.scheduler.tiers), microBatchCount: plan.config.gradientAccumulationSteps,
      step: progress.step, alwaysLoose: core.settings.verifyFraction >= 1)
    try handle(.windows(book))
  }

  /// Whether workers return copies of their chains with a step: every `flush_every` steps, where the chains are
  /// needed, and before too much is kept for computing them again. When that is changes no bit of the result.
  func isFlush(_ step: Int) -> Bool {
    guard plan.usesWindows else { return false }
    return step % plan.config.flushEvery == 0 || step == plan.config.numSteps || step == replayedUpTo
      || step - snapshots.lastStep >= SnapshotSchedule.mostSteps || archive.bytes > ParameterHistory.limit
  }

  /// Whether all chains are here.
  var hasAllWindows: Bool {
    core.windows?.gaps(tiers: openTiers, through: progress.step).isEmpty ?? true
  }

  /// The tiers that have a window open after the last step.
  private var openTiers: [Int] {
    plan.scheduler.tiers.filter { progress.step > 0 && !$0.isActive(at: progress.step) }.map(\.index)
  }

  /// Brings everything here that windows lack after the last step; false as below.
  func completeWindows() throws -> Bool { try completeWindows(of: openTiers, through: progress.step) }

  /// Has what these tiers' chains lack up to a step collected from the workers that keep it, and computed again where
  /// nobody does.
  ///
  /// - Returns: false if a worker's chain was found to be wrong, so that the run has to go back.
  func completeWindows(of tiers: [Int], through step: Int) throws -> Bool {
    let count = plan.config.gradientAccumulationSteps
    defer { earlierData = [:] }
    while let gaps = core.windows?.gaps(tiers: tiers, through: step), !gaps.isEmpty {
      let unit: WorkUnit
      if !gaps.collect.isEmpty {
        unit = gaps.collectUnit(step: step, microBatchCount: count)
      } else if let again = gaps.recomputeUnit(microBatchCount: count, versions: archive.versions) {
        unit = again
        logger.info("computing what is lost of \(gaps.recompute.keys.sorted()) again")
      } else {
        throw ServiceError(
          "a window lacks gradients of a step whose parameters are not kept any more",
          remedy: "nl-coord resume \(plan.outputFolder) goes on from the last snapshot")
      }
      guard let complete = try compute(unit) else { return false }
      let results = takePayloads(of: complete)
      guard try passesAudit(complete, results) else { return false }
      try keep(results)
    }
    return true
  }

  /// Takes what results bring of windows.
  func keep(_ results: [UnitResult]) throws {
    try awaiting { [engine] in
      for (step, results) in results.bySteps {
        try engine.keep(results.map(\.message), of: results.map(\.shard.node), step: step)
      }
    }
  }

  /// Chains that a worker goes on from. The engine is at rest while a unit is open.
  func sendWindow(_ peer: PeerID, _ session: SessionID, _ keys: [WindowKey], through step: Int) {
    let clock = WindowClock(plan.scheduler.tiers)
    var message = WindowMessage(step: step, firsts: [], chains: [])
    for key in keys {
      guard let values = engine.chain(of: key, through: step) else { continue }
      message.firsts.append(clock.start(tier: key.tier, step: step))
      message.chains.append(WindowChain(tier: key.tier, microBatch: key.microBatch, floats: values))
      traffic.tiers[key.tier].chainsDown += values.count * 4
    }
    if !message.chains.isEmpty { send(.window(message), to: peer, session: session) }
  }
}
