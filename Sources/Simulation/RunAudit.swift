import Training
import Coordination
import NestedLearning
import Service
import WireProtocol

/// Chains that are computed again before they are used, as CoordinatorService has it.
extension Simulation {
  typealias Results = [UnitResult]

  /// Goes on if what a unit came to may be used. If not, a worker is in quarantine, and the run goes back.
  func ifItHoldsUp(
    _ done: CompletedUnit, _ results: Results, _ coordinator: SimulatedCoordinator,
    _ then: @escaping (Simulation) -> Void
  ) {
    guard !done.audits.isEmpty else { return then(self) }
    outcome.count("units with chains to check")
    let check = PartialSumAudit(
      done.audits, clock: WindowClock(scenario.problem.scheduler.tiers),
      microBatchCount: scenario.problem.config.gradientAccumulationSteps, chain: coordinator.engine.chain)
    let units = WindowAudit.units(
      of: done.audits, microBatchCount: scenario.problem.config.gradientAccumulationSteps,
      versions: coordinator.archive.versions)
    audit(done, results, check, units[...], coordinator, then)
  }

  /// Has the first of these units computed, then the others.
  private func audit(
    _ done: CompletedUnit, _ results: Results, _ check: PartialSumAudit, _ units: ArraySlice<WorkUnit>,
    _ coordinator: SimulatedCoordinator, _ then: @escaping (Simulation) -> Void
  ) {
    guard let unit = units.first else { return judge(done, results, check, coordinator, then) }
    coordinator.doing = "has chains of \(done.unit) checked"
    coordinator.whenAudited = { simulation, again in
      var check = check
      do {
        for (step, results) in again.bySteps { try check.add(results.map(\.message), step: step) }
      } catch {
        return simulation.problem("chains cannot be checked: \(error)")
      }
      simulation.audit(done, results, check, units.dropFirst(), coordinator, then)
    }
    handle(.open(unit))
  }

  private func judge(
    _ done: CompletedUnit, _ results: Results, _ check: PartialSumAudit, _ coordinator: SimulatedCoordinator,
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
