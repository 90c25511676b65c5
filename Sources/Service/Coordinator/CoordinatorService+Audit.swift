import Coordination
import NestedLearning
import WireProtocol

/// Chains that workers have kept and sent: some, chosen by lot, are computed again by others before they are used.
extension CoordinatorService {
  /// Whether what a unit came to may be used. If not, a worker is in quarantine that has sent a wrong chain, and the run
  /// has to go back.
  func passesAudit(_ unit: CompletedUnit, _ results: [UnitResult]) throws -> Bool {
    guard !unit.audits.isEmpty else { return true }
    let count = plan.config.gradientAccumulationSteps
    var check = PartialSumAudit(
      unit.audits, clock: WindowClock(plan.scheduler.tiers), microBatchCount: count, chain: engine.chain)
    defer { earlierData = [:] }
    let units = WindowAudit.units(of: unit.audits, microBatchCount: count, versions: archive.versions)
    for again in units {
      guard let complete = try compute(again) else { return true }
      for (step, results) in takePayloads(of: complete).bySteps {
        try check.add(results.map(\.message), step: step)
      }
    }
    let sent = Dictionary(results.map { ($0.message.attempt, $0.message) }, uniquingKeysWith: { $1 })
    for audit in unit.audits {
      switch try check.verdict(on: audit, sent[audit.attempt]) {
      case .unknown: break
      case .right: audited.insert(audit.attempt)
      case .wrong(let reason):
        try handle(.wrongChain(workerID: audit.worker, identity: audit.identity, reason: reason))
      }
    }
    windowsAreVoid = unit.audits.contains { core.isQuarantined($0.identity) }
    return !windowsAreVoid
  }
}
