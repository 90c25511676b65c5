import Coordination
import NestedLearning
import Protocol
import Service

/// Chains that are computed again before they are used, as CoordinatorService has it.
extension Simulation {
  typealias Results = [(shard: Shard, message: ResultMessage)]

  /// Goes on if what a unit came to may be used. If not, a worker is in quarantine, and the run goes back.
  func ifItHoldsUp(
    _ done: CompletedUnit, _ results: Results, _ coordinator: SimulatedCoordinator,
    _ then: @escaping (Simulation) -> Void
  ) {
    guard !done.audits.isEmpty else { return then(self) }
    outcome.count("units with chains to check")
    let check = ChainCheck(
      done.audits, clock: WindowClock(scenario.problem.scheduler.tiers),
      microBatchCount: scenario.problem.config.gradientAccumulationSteps, chain: coordinator.engine.chain)
    audit(done, results, check, check.steps[...], coordinator, then)
  }

  /// Has the first of these steps computed again, then the others.
  private func audit(
    _ done: CompletedUnit, _ results: Results, _ check: ChainCheck, _ steps: ArraySlice<Int>,
    _ coordinator: SimulatedCoordinator, _ then: @escaping (Simulation) -> Void
  ) {
    let count = scenario.problem.config.gradientAccumulationSteps
    guard let step = steps.first else { return judge(done, results, check, coordinator, then) }
    guard let versions = coordinator.archive.versions(of: step),
      let unit = WindowAudit.unit(of: done.audits, step: step, microBatchCount: count, versions: versions)
    else { return audit(done, results, check, steps.dropFirst(), coordinator, then) }
    let (batches, tokens) = (coordinator.batches, coordinator.unitTokens)
    takeBatches(of: step, coordinator)
    coordinator.doing = "has chains of \(done.unit) checked"
    coordinator.whenAudited = { simulation, messages in
      (coordinator.batches, coordinator.unitTokens) = (batches, tokens)
      var check = check
      do { try check.add(messages, step: step) } catch {
        return simulation.problem("chains cannot be checked: \(error)")
      }
      simulation.audit(done, results, check, steps.dropFirst(), coordinator, then)
    }
    handle(.open(unit))
  }

  private func judge(
    _ done: CompletedUnit, _ results: Results, _ check: ChainCheck, _ coordinator: SimulatedCoordinator,
    _ then: (Simulation) -> Void
  ) {
    let sent = Dictionary(results.map { ($0.message.attempt, $0.message) }, uniquingKeysWith: { $1 })
    for audit in done.audits {
      do {
        switch try check.verdict(on: audit, sent[audit.attempt]) {
        case .unknown: outcome.count("chains that nobody could check")
        case .right: coordinator.audited.insert(audit.attempt)
        case .wrong(let reason):
          outcome.count("wrong chains found")
          handle(.wrongChain(workerID: audit.worker, identity: audit.identity, reason: reason))
        }
      } catch { return problem("a chain cannot be checked: \(error)") }
      guard self.coordinator === coordinator else { return }
    }
    coordinator.windowsAreVoid = done.audits.contains { coordinator.core.isQuarantined($0.identity) }
    if coordinator.windowsAreVoid { goOn() } else { then(self) }
  }
}
