import Coordination
import NestedLearning
import WireProtocol

/// A replayed step, or a shard of one, has come out otherwise than it was committed: somebody has computed wrongly, then or
/// now, and nobody compared it. The replay begins again, and now two workers have to agree on every shard of it, cut as the
/// record has it, so that the record's own shards are compared one by one; workers keep no partial sums meanwhile.
extension RunCore {
  mutating func cameOutOtherwise(_ pending: PendingWrite, recorded: String, now: Instant) {
    guard case .replayedStep(let applied) = pending.write.content else { return }
    guard !isCertain else { return differsForCertain(applied, recorded: recorded, now: now) }
    beginCertainReplay("step \(applied.step), computed again, has another digest than the ledger", now: now)
  }

  private mutating func beginCertainReplay(_ reason: String, now: Instant) {
    tell(
      .error(
        "\(reason): the replay begins again, and two workers compute each shard, to find out whose result was wrong"
      ))
    isCertain = true
    windowsAreVoid = true
    goOn(now: now)
  }

  /// A replay is over, or there is none.
  mutating func endCertainty() {
    (isCertain, recordedShards, doubtedShards) = (false, [:], [:])
  }

  /// The unit of a step that is to be certain, cut as it was when the step was committed.
  func certainUnit(_ unit: WorkUnit) -> WorkUnit {
    var unit = unit
    unit.isVerified = true
    let parts = (recordedShards[unit.step] ?? []).compactMap { shard in
      TreeNode(covering: shard.leaves, count: unit.leafCount).map {
        UnitPart(shard: Shard(node: $0, tiers: shard.tiers))
      }
    }
    if !parts.isEmpty, parts.count == recordedShards[unit.step]?.count { unit.parts = parts }
    return unit
  }

  /// Holds a replayed step to the record of it, before anything is made of it: a wrong gradient may change moments alone,
  /// and parameters only steps later.
  ///
  /// - Returns: whether the step can be used; if not, the replay begins again, the run is rolled back, or it fails.
  mutating func agreesWithRecord(_ results: [UnitResult], step: Int, now: Instant) -> Bool {
    guard let recorded = recordedShards[step], !recorded.isEmpty else { return true }
    let count = rules.config.gradientAccumulationSteps
    let again = results.compactMap { $0.counted.map { ComputedShard($0, leafCount: count) } }
    let differences = ShardComparison(recorded: recorded, again: again).differences
    guard !isCertain else { return isCertainlyRight(again, recorded, step: step, now: now) }
    guard let first = differences.first else { return true }
    doubtedShards[step] = differences.map(\.again)
    beginCertainReplay(
      "\(first.again.place) of step \(step), computed again, is not what the ledger has", now: now)
    return false
  }

  /// Holds the record, and what was doubted of the replay before, to what two workers have agreed on.
  private mutating func isCertainlyRight(
    _ certain: [ComputedShard], _ recorded: [ComputedShard], step: Int, now: Instant
  ) -> Bool {
    var wrong = ShardComparison(recorded: recorded, again: certain).differences.map(\.recorded)
    // One computes wrongly; where all that took part have come to something else, it is not they who have changed.
    if wrong.count == recorded.count, Set(wrong.map(\.identity)).count > 1 {
      distrust("step \(step), computed again, differs from the ledger in every shard", now: now)
      return false
    }
    let doubted = doubtedShards.removeValue(forKey: step) ?? []
    wrong += ShardComparison(recorded: doubted, again: certain).differences.map(\.recorded)
    guard !wrong.isEmpty else { return true }
    for shard in wrong {
      quarantined.insert(shard.identity)
      toUndo.insert(shard.identity)
      let reason = "its result for \(shard.place) of step \(step) is not the one that two others came to"
      effects.append(.distrust(workerID: 0, identity: shard.identity, reason: reason))
    }
    windowsAreVoid = true
    goOn(now: now)
    return false
  }

  /// Every gradient of the replay was computed by two workers, and is the recorded one; so a partial sum of a window was
  /// wrong when the step was committed, or the record itself is, and nobody can be named. What was committed from there
  /// on is void.
  private mutating func differsForCertain(_ applied: AppliedStep, recorded: String, now: Instant) {
    let reason =
      "step \(applied.step), computed again, has the digest \(applied.digest), but the ledger has \(recorded)"
    guard rules.usesWindows, recordedShards[applied.step]?.isEmpty == false else {
      return distrust(reason, now: now)
    }
    tell(.error("\(reason); two workers agree on each gradient, so a partial sum was wrong: it is void"))
    windowsAreVoid = true
    write(.rollback(identities: toUndo.sorted(), before: applied.step), then: .rolledBack, now: now)
  }

  private mutating func distrust(_ reason: String, now: Instant) {
    fail(
      TrainingError(
        reason,
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
