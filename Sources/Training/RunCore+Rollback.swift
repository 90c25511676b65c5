import Coordination

/// Taking up a run, and rolling it back: a worker was found to compute wrongly, and results of it that nobody verified
/// are in committed steps.
extension RunCore {
  /// The state is that of the last snapshot.
  mutating func restored(_ run: RestoredRun, now: Instant) {
    let first = PlanCourse(config: rules.config, scheduler: rules.plan.scheduler)
    plans = first.after(run.progress.followed.accuracies)
    guard run.progress.plan == plan.number else {
      let error = TrainingError(
        "the snapshot of step \(run.progress.step) is of tier plan \(run.progress.plan), and its evaluations have led to "
          + "plan \(plan.number)")
      return fail(error, now: now)
    }
    progress = run.progress
    tiers = run.tiers
    slowestCopy = run.slowestCopy
    replayedUpTo = run.lastStep
    recordedEvaluations = run.evaluations
    recordedWorstTasks = run.worstTasks
    recordedAccuracies = Dictionary(run.accuracies.map { ($0.step, $0) }, uniquingKeysWith: { $1 })
    batches.restart()
    recordedShards = run.shards
    if !isReplayAhead { endCertainty() }
    history = ParameterHistory()
    windowsAreHere = true
    toUndo.formUnion(run.toUndo)
    tell(.stands(at: max(progress.step, replayedUpTo)))
    snapshots.rollBack(to: progress.step)
    write(.tiers(tiers, run.copies), then: .publish, now: now)
  }

  /// Whether there are steps to compute again.
  private var isReplayAhead: Bool { progress.step < replayedUpTo }

  /// The fleet hears of all tiers as they are.
  mutating func publish(now: Instant) {
    let tracker = WindowTracker(
      clock: plan.clock, microBatchCount: rules.config.gradientAccumulationSteps, step: progress.step,
      alwaysSeparate: rules.alwaysSeparate)
    effects.append(.publish(tiers.versions, rules.usesWindows ? tracker : nil))
    goOn(now: now)
  }

  /// Puts a worker's identity in quarantine, for ever; the run is rolled back as soon as the present step is out of
  /// hand.
  mutating func quarantine(_ workerID: Int, _ identity: String, _ reason: String, now: Instant) {
    quarantined.insert(identity)
    tell(.error("worker \(workerID) (\(identity)) is in quarantine: \(reason)"))
    // Not after the step at hand: a crash until then would forget it.
    note(.quarantined(workerID: workerID, identity: identity, reason: reason, at: now), due: now)
    toUndo.insert(identity)
  }

  /// Undoes what the identities in quarantine did, as far as nobody else came to the same.
  mutating func rollBack(now: Instant) {
    write(.rollback(identities: toUndo.sorted()), then: .rolledBack, now: now)
  }

  mutating func rolledBack(_ outcome: RunWriteOutcome, now: Instant) {
    guard case .rolledBack(let lines, let lastStep) = outcome else { return goOn(now: now) }
    toUndo = []
    guard windowsAreVoid || lastStep < progress.step || !lines.isEmpty else { return goOn(now: now) }
    windowsAreVoid = false
    for line in lines { tell(.error(line)) }
    stage = .begun
    effects.append(.restore(isCertain: isCertain))
  }
}

extension [TierValues] {
  var versions: [Int: TierVersion] {
    Dictionary(
      map { ($0.tier, TierVersion(version: $0.version, digest: $0.digest)) }, uniquingKeysWith: { $1 })
  }
}
