import Coordination
import NestedLearning
import WireProtocol

/// Windows: when partial sums are flushed, what is brought here before a step can be applied or a snapshot written, and
/// what is compared first.
extension RunCore {
  /// Whether workers return copies of their partial sums with a step: every `flush_every` steps, where they are needed
  /// for a snapshot, and before too much is kept for computing them again. When that is changes no bit of the result.
  func isFlush(_ step: Int) -> Bool {
    guard rules.usesWindows else { return false }
    return step % rules.config.flushEvery == 0 || hasCheckpoint(after: step) || step == rules.config.numSteps
      || step == replayedUpTo
      || step - snapshots.lastStep >= SnapshotSchedule.mostSteps || history.bytes > ParameterHistory.limit
  }

  /// Whether a numbered checkpoint is written after a step, which keeps the snapshot of that step.
  func hasCheckpoint(after step: Int) -> Bool {
    !rules.config.saveBestOnly && step % rules.config.checkpointEvery == 0
  }

  /// Has what these tiers' windows lack up to a step brought here, and goes on to a goal.
  mutating func completeWindows(
    _ tiers: [Int], through step: Int, for goal: WindowGoal, now: Instant
  ) {
    guard rules.usesWindows, !tiers.isEmpty else { return windowsAreComplete(for: goal, now: now) }
    complete(WindowRequest(tiers: tiers, through: step, versions: history.versions), for: goal)
  }

  private mutating func complete(_ request: WindowRequest, for goal: WindowGoal) {
    stage = .completing(request, goal)
    effects.append(.completeWindows(request))
  }

  mutating func windowsCame(oldestStep: Int, now: Instant) {
    guard case .completing(_, let goal) = stage else { return }
    history.forget(before: oldestStep)
    windowsAreComplete(for: goal, now: now)
  }

  private mutating func windowsAreComplete(for goal: WindowGoal, now: Instant) {
    switch goal {
    case .apply(let step): apply(step, now: now)
    case .snapshot(let reason): snapshot(reason, now: now)
    case .finish(let ending):
      // The last windows may have brought a worker's wrong results to light.
      guard toUndo.isEmpty, stopDeadline == nil else { return goOn(now: now) }
      write(.checkpoint(.final, progress, isReplay: isReplay), then: .finalCheckpoint(ending), now: now)
    }
  }

  mutating func windowsAreLost(now: Instant) {
    fail(
      TrainingError(
        "a window lacks gradients of a step whose parameters are not kept any more",
        remedy: "\(rules.resumeCommand) goes on from the last snapshot"), now: now)
  }

  /// The results of a unit are in the engine.
  mutating func kept(now: Instant) {
    guard case .keeping(let goal) = stage else { return }
    switch goal {
    case .step(let step):
      let active = plan.activeTiers(at: step.unit.step)
      completeWindows(
        step.unit.isFlush ? step.unit.dueTiers : active, through: step.unit.step, for: .apply(step), now: now)
    case .windows(let request, let goal): complete(request, for: goal)
    }
  }

  private mutating func keep(_ results: [UnitResult], for goal: KeepGoal, now: Instant) {
    stage = .keeping(goal)
    guard rules.usesWindows else { return kept(now: now) }
    effects.append(.keep(results))
  }

  // MARK: - Audits

  /// Partial sums that workers have kept and sent: some, chosen by lot, are computed again by others before they are
  /// used.
  mutating func audit(_ done: CompletedUnit, _ results: [UnitResult], for goal: KeepGoal, now: Instant) {
    guard !done.audits.isEmpty else { return keep(results, for: goal, now: now) }
    effects.append(.audit(.begin(done.audits)))
    let units = WindowAudit.units(
      of: done.audits, microBatchCount: rules.config.gradientAccumulationSteps,
      versions: history.versions(of:))
    computeNext(Audit(audits: done.audits, results: results, rest: units[...], goal: goal))
  }

  private mutating func computeNext(_ audit: Audit) {
    var audit = audit
    if let unit = audit.rest.popFirst() {
      stage = .auditing(audit)
      effects.append(.open(unit))
    } else {
      stage = .judging(audit)
      effects.append(.audit(.judge(audit.results)))
    }
  }

  mutating func computedAgain(_ results: [UnitResult], for audit: Audit) {
    effects.append(.audit(.add(results)))
    computeNext(audit)
  }

  /// - Parameter verdicts: one for each audit.
  mutating func judged(_ verdicts: [PartialSumAudit.Verdict], now: Instant) {
    guard case .judging(let audit) = stage else { return }
    for (audit, verdict) in zip(audit.audits, verdicts) {
      switch verdict {
      case .unknown: break
      case .right: auditedAttempts.insert(audit.attempt)
      case .wrong(let reason):
        quarantined.insert(audit.identity)
        toUndo.insert(audit.identity)
        effects.append(
          .distrust(workerID: audit.worker, identity: audit.identity, reason: reason))
      }
    }
    guard audit.audits.contains(where: { quarantined.contains($0.identity) }) else {
      return keep(audit.results, for: audit.goal, now: now)
    }
    windowsAreVoid = true
    goOn(now: now)
  }
}
