import Coordination
import NestedLearning
import WireProtocol

/// A step that was committed before has come out otherwise: somebody has computed wrongly, then or now, and nobody has
/// compared it. Each shard that the step was committed from is computed by two others, and who said otherwise is out.
extension RunCore {
  struct Investigation: Sendable {
    let unit: WorkUnit
    let applied: AppliedStep
    /// The digest that the step was committed with.
    let recordedDigest: String
    /// The shards that are being computed again: first those that the step was committed from, then, if these were
    /// right, those that it has come to now.
    var suspects: [ComputedShard]
    /// By identity: the worker, if it is known.
    let workers: [String: Int]
    /// What the step has come to now, while it is not yet under suspicion.
    var replayed: [ComputedShard]
  }

  mutating func cameOutOtherwise(
    _ pending: PendingWrite, recorded: String, shards: [ComputedShard], now: Instant
  ) {
    guard case .committed(let unit, let applied, let counted) = pending.next else { return }
    tell(
      .error(
        "step \(applied.step), computed again, has another digest than the ledger: each of its shards is computed by "
          + "two workers now, to find out whose result was wrong"))
    let count = rules.config.gradientAccumulationSteps
    investigate(
      Investigation(
        unit: unit, applied: applied, recordedDigest: recorded, suspects: shards,
        workers: Dictionary(counted.map { ($0.identity, $0.workerID) }, uniquingKeysWith: { $1 }),
        replayed: counted.map { ComputedShard($0, leafCount: count) }), now: now)
  }

  private mutating func investigate(_ investigation: Investigation, now: Instant) {
    let (unit, suspects) = (investigation.unit, investigation.suspects)
    let parts = suspects.compactMap { shard in
      TreeNode(covering: shard.leaves, count: unit.leafCount).map {
        UnitPart(shard: Shard(node: $0, tiers: shard.tiers))
      }
    }
    guard !parts.isEmpty, parts.count == suspects.count else { return distrust(investigation, now: now) }
    stage = .investigating(investigation)
    effects.append(
      .open(
        WorkUnit(
          purpose: .recompute, step: unit.step, leafCount: unit.leafCount,
          dueTiers: Set(parts.flatMap(\.shard.tiers)).sorted(), window: rules.usesWindows, parts: parts,
          isVerified: true)))
  }

  /// Two workers have agreed on each shard: whoever said otherwise, when the step was committed or now, has computed
  /// wrongly. What they did and nobody verified is undone.
  mutating func conclude(_ investigation: Investigation, _ results: [UnitResult], now: Instant) {
    let count = rules.config.gradientAccumulationSteps
    let right = results.compactMap { $0.counted.map { ComputedShard($0, leafCount: count) } }
    let differences = ShardComparison(recorded: investigation.suspects, again: right).differences
    guard !differences.isEmpty else { return suspectReplay(investigation, now: now) }
    for shard in differences.map(\.recorded) {
      quarantined.insert(shard.identity)
      if !toUndo.contains(shard.identity) { toUndo.append(shard.identity) }
      let step = investigation.applied.step
      let reason = "its result for \(shard.place) of step \(step) is not the one that two others came to"
      effects.append(
        .distrust(
          workerID: investigation.workers[shard.identity] ?? 0, identity: shard.identity, reason: reason))
    }
    // The engine has applied the step as it came, which may be wrong, too.
    windowsAreVoid = true
    goOn(now: now)
  }

  /// What the step was committed from is right, so that what it has come to now is not.
  private mutating func suspectReplay(_ investigation: Investigation, now: Instant) {
    var investigation = investigation
    (investigation.suspects, investigation.replayed) = (investigation.replayed, [])
    investigate(investigation, now: now)
  }

  private mutating func distrust(_ investigation: Investigation, now: Instant) {
    let applied = investigation.applied
    fail(
      TrainingError(
        "step \(applied.step), computed again, has the digest \(applied.digest), but the ledger has "
          + investigation.recordedDigest,
        remedy:
          "the run's files, the program or this machine's arithmetic have changed since; do not trust this run"
      ),
      now: now)
  }
}

extension ComputedShard {
  package init(_ counted: CountedResult, leafCount: Int) {
    self.init(
      leaves: counted.shard.node.leaves(count: leafCount), tiers: counted.shard.tiers, digest: counted.digest,
      identity: counted.identity)
  }
}
