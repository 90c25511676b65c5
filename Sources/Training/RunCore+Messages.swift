import Coordination
import WireProtocol

/// What workers are sent of a run, put together from what it holds. Nothing here decides anything.
extension RunCore {
  /// ASSIGN for a hand-out.
  package mutating func message(of assignment: Assignment) -> AssignMessage {
    let unit = assignment.unit
    let node = assignment.shard.node
    let numbers = unit.purpose == .collect ? 0..<0 : node.leaves(count: unit.leafCount)
    return AssignMessage(
      attempt: assignment.attempt, purpose: unit.purpose, step: unit.step, leafCount: unit.leafCount,
      level: node.level, index: node.index, tiers: assignment.shard.tiers, window: unit.window,
      digestOnly: assignment.digestOnly, measure: unit.measure, sampling: unit.sampling,
      accuracy: unit.wantsAccuracy,
      stepTokens: max(1, batches.trainedTokens(of: unit)),
      windows: assignment.windows,
      parameterVersions: assignment.versions, adapterScale: unit.adapterScale,
      dropoutSeed: unit.purpose == .evaluate ? nil : rules.dropoutSeed,
      microBatches: batches.microBatches(of: unit, numbers))
  }

  /// PARAMETERS of a tier at one of its versions; nil if that is not kept.
  package func parameters(tier: Int, version: Int) -> ParametersMessage? {
    guard tiers.indices.contains(tier) else { return nil }
    let newest = tiers[tier].version == version ? tiers[tier] : nil
    let copy = tier == 0 && slowestCopy?.version == version ? slowestCopy : nil
    guard let values = newest ?? copy ?? history.values(tier: tier, version: version) else { return nil }
    return ParametersMessage(tier: tier, version: version, digest: values.digest, values: values.values)
  }
}

/// What a run is doing, for people.
package struct RunActivity: Sendable {
  package let doing: String
  package let since: Instant
  /// What it waits for before it writes again, if it does, why, and until when.
  package let wait: (cause: WaitCause, reason: String, since: Instant, deadline: Instant)?
  /// Whether it rests until it is told to go on.
  package let isPaused: Bool
}

extension RunCore {
  /// What the run itself is at; nil while it waits for workers.
  package var activity: RunActivity? {
    switch stage {
    case .writing(let pending):
      RunActivity(
        doing: pending.write.doing, since: pending.began,
        wait: pending.pause.map { ($0.cause, $0.reason, $0.since, $0.deadline) }, isPaused: false)
    case .waitingForDisk(let pause):
      RunActivity(
        doing: pause.pending.write.doing, since: pause.pending.began,
        wait: (pause.wait.cause, pause.wait.reason, pause.wait.since, pause.wait.deadline), isPaused: false)
    case .applying(let step):
      RunActivity(doing: "applying \(step.unit)", since: step.applying, wait: nil, isPaused: false)
    case .adopting(let since):
      RunActivity(doing: "beginning tier plan \(plan.number)", since: since, wait: nil, isPaused: false)
    case .paused(let since):
      RunActivity(doing: "paused", since: since, wait: nil, isPaused: true)
    case .begun, .computing, .completing, .auditing, .judging, .keeping, .draining, .ended:
      nil
    }
  }

  /// Whether others compute again what a worker has sent, so that not everybody may.
  package var isAuditing: Bool {
    if case .auditing = stage { true } else { false }
  }

  /// What the run is waiting for, for the report of one that does not end.
  package var waitsFor: String { "\(stage)".prefix(200).description }
}

extension RunCore {
  /// Attempts whose results count and that the ledger does not have yet.
  package var unwrittenAttempts: [Int] {
    var all = attempts
    if case .writing(let pending) = stage { all += pending.write.attempts }
    if let newsOnTheWay { all += newsOnTheWay.attempts }
    return all.filter { $0.outcome == .committed }.map(\.attempt)
  }
}
