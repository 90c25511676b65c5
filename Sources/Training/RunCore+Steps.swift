import Coordination
import NestedLearning
import WireProtocol

/// Steps and evaluations.
extension RunCore {
  mutating func train(_ step: Int, now: Instant) {
    let active = plan.activeTiers(at: step)
    let due = rules.usesWindows ? plan.learningTiers(at: step) : active
    if due.isEmpty && step % rules.config.lossEvery != 0 { return skip(step, now: now) }
    batches.keepOnly(step: step)
    let batches = batches.batches(step: step)
    if rules.usesWindows { history.keep(tiers, step: step) }
    var unit = WorkUnit(
      purpose: .train, step: step, leafCount: batches.microBatches.count, dueTiers: due,
      window: rules.usesWindows, isFlush: isFlush(step),
      trainedTokens: batches.microBatches.map(\.trainedTokens))
    unit.hasTerms = rules.hasObjective
    unit.taskLabels = rules.tasks.map { _ in 0 }
    if batches.microBatches.contains(where: { $0.adversary != nil }) {
      unit.toldRows = batches.microBatches.map(\.rowDomains.count)
    }
    unit.measure = rules.measurement?.measure
    unit.sampling = rules.sampling.map { sampling in
      var sampling = sampling
      sampling.first = (step - 1) * rules.config.gradientAccumulationSteps * sampling.rows
      return sampling
    }
    open(isCertain ? certainUnit(unit) : unit, now: now)
  }

  /// A step of which nothing is wanted: no gradient, and no loss. No worker hears of it.
  private mutating func skip(_ step: Int, now: Instant) {
    let unit = WorkUnit(purpose: .train, step: step, leafCount: 0, dueTiers: [])
    stage = .applying(
      StepInHand(
        unit: unit, losses: StepLosses(task: 0, taskTokens: 0), results: [], began: now, applying: now))
    effects.append(.skip(step: step, course(of: step)))
  }

  private func course(of step: Int) -> StepCourse {
    StepCourse(sampling: batches.sampling(step: step), baseRate: progress.baseRate)
  }

  mutating func evaluate(now: Instant) {
    let accuracy = recordedAccuracies[progress.step]
    if let loss = recordedEvaluations.removeValue(forKey: progress.step),
      accuracy != nil || !rules.wantsAccuracy
    {
      let worst = recordedWorstTasks.removeValue(forKey: progress.step)
      progress.evaluated(loss: loss, accuracy: accuracy, worst: worst, rules.config)
      return follow(accuracy, now: now)
    }
    openEvaluation(scale: nil, now: now)
  }

  /// An evaluation is on the disk, and with it the tier plan that it has led to, if that is another: the run goes on by
  /// that.
  mutating func follow(_ accuracy: EvaluatedAccuracy?, now: Instant) {
    guard let accuracy, plans.take(accuracy) else { return goOn(now: now) }
    progress.adopted(plan: plan.number)
    stage = .adopting(since: now)
    effects.append(.adopt(plan))
    tell(.info("tier plan \(plan.number) from step \(plan.firstStep) on: \(plan.scheduler.periodsText)"))
    if plan.movesTooLate {
      tell(
        .notice(
          "tier plan \(plan.number) moves no module: the tiers concerned have no update in common before the last step"
        ))
    }
  }

  /// The engine goes by the newest plan.
  mutating func adopted(now: Instant) {
    guard case .adopting = stage else { return }
    goOn(now: now)
  }

  /// - Parameter scale: of the adapter.
  mutating func evaluate(scale: Double, now: Instant) { openEvaluation(scale: scale, now: now) }

  private mutating func openEvaluation(scale: Double?, now: Instant) {
    let tokens = batches.evaluationTokens().tokens
    var unit = WorkUnit(
      purpose: .evaluate, step: progress.step, leafCount: tokens.count, dueTiers: [], trainedTokens: tokens)
    unit.adapterScale = scale
    unit.hasTerms = !rules.tasks.isEmpty
    unit.taskLabels = rules.tasks.map(\.labels)
    unit.wantsAccuracy = scale == nil && rules.wantsAccuracy
    unit.versions = slowestCopy.map { [TierVersion(version: $0.version, digest: $0.digest)] }
    open(unit, now: now)
  }

  private mutating func open(_ unit: WorkUnit, now: Instant) {
    stage = .computing(UnitInHand(unit: unit, began: now))
    effects.append(.open(unit))
  }

  // MARK: - What a unit came to

  mutating func complete(_ done: CompletedUnit, _ results: [UnitResult], now: Instant) {
    switch stage {
    case .computing(let inHand) where done.unit.purpose == .evaluate:
      evaluated(done, began: inHand.began, now: now)
    case .computing(let inHand):
      tell(.spent(now.seconds(since: inHand.began), on: .compute))
      for result in results {
        traffic.count(result.message, of: done.unit, clock: plan.clock)
      }
      let step = StepInHand(
        unit: done.unit, losses: losses(of: done), results: results, began: inHand.began)
      guard agreesWithRecord(results, step: done.unit.step, now: now) else { return }
      audit(done, results, for: .step(step), now: now)
    case .completing(let request, let goal):
      for result in results { traffic.count(result.message, of: done.unit, clock: plan.clock) }
      audit(done, results, for: .windows(request, goal), now: now)
    case .auditing(let audit): computedAgain(results, for: audit)
    default: break
    }
  }

  /// Has a step applied whose windows are complete.
  mutating func apply(_ step: StepInHand, now: Instant) {
    var step = step
    step.applying = now
    stage = .applying(step)
    effects.append(
      .apply(step: step.unit.step, step.losses, step.results, course(of: step.unit.step)))
  }

  private mutating func losses(of done: CompletedUnit) -> StepLosses {
    let replayed = batches.batches(step: done.unit.step).replayedTokens
    return StepLosses(
      task: done.lossSum, taskTokens: done.tokens - replayed, terms: done.terms, replayTokens: replayed)
  }

  /// A step is committed in one transaction before any worker hears of the next. One that was committed before a crash
  /// is computed again, and must come out the same.
  mutating func applied(_ applied: AppliedStep, now: Instant) {
    guard case .applying(let step) = stage, applied.step == step.unit.step else { return }
    if step.unit.leafCount > 0 { tell(.spent(now.seconds(since: step.applying), on: .update)) }
    let next = Next.committed(step.unit, applied)
    guard applied.step > replayedUpTo else { return write(.replayedStep(applied), then: next, now: now) }
    let committed = CommittedStep(
      applied: applied, seconds: now.seconds(since: step.began),
      snapshotSeconds: snapshots.spent - snapshotSecondsTold, traffic: traffic,
      shards: step.results.compactMap(\.counted),
      traces: step.results.filter { $0.counted != nil }.map { ShardTraceRecord($0.message) })
    traffic = Traffic(tierCount: traffic.tiers.count)
    snapshotSecondsTold = snapshots.spent
    write(.step(committed), then: next, now: now)
  }

  /// A step is on the disk.
  mutating func committed(_ unit: WorkUnit, _ applied: AppliedStep, _ write: PendingWrite, now: Instant) {
    if case .step(let committed) = write.write.content {
      tell(.newStep(committed, ledgerSeconds: now.seconds(since: write.began)))
    }
    if unit.leafCount > 0 { effects.append(.acknowledge(unit)) }
    progress.applied(step: applied.step)
    if progress.step >= replayedUpTo { endCertainty() }
    windowsAreHere =
      rules.alwaysSeparate || unit.isFlush || plan.openTiers(after: applied.step).isEmpty
    if !applied.changed.isEmpty {
      for tier in applied.changed { tiers[tier.tier] = tier }
      if slowestCopy != nil, rules.slowestFollows(at: applied.step) { slowestCopy = tiers[0] }
      effects.append(.parametersChanged(applied.changed.versions))
    }
    tell(.step(applied))
    guard snapshotIsDue(now: now) else { return goOn(now: now) }
    completeWindows(
      plan.openTiers(after: progress.step), through: progress.step, for: .snapshot(.due), now: now)
  }

  /// Whether a snapshot is to be taken now, between two steps. The one place that decides it; where it is not possible
  /// at this step, as part of the state is with the workers, it remains due.
  private func snapshotIsDue(now: Instant) -> Bool {
    guard windowsAreHere || !rules.usesWindows, rules.measurement == nil else { return false }
    // A replay is over: the next crash need not repeat it.
    return progress.step == replayedUpTo
      || snapshots.isDue(after: progress.step, now: now.seconds(since: .zero))
  }

  private mutating func evaluated(_ done: CompletedUnit, began: Instant, now: Instant) {
    let loss = done.lossSum / Double(done.tokens)
    let seconds = now.seconds(since: began)
    if let scale = done.unit.adapterScale {
      tell(.spent(seconds, on: .evaluation))
      tell(.scale(progress.tried(scale: scale, loss: loss, rules.config)))
      effects.append(.acknowledge(done.unit))
      return goOn(now: now)
    }
    var outcome = EvaluationOutcome(
      step: done.unit.step, loss: loss, tokens: done.tokens, isBest: loss < progress.bestLoss ?? .infinity,
      seconds: seconds,
      tasks: zip(rules.tasks, done.terms?.tasks ?? []).map { NamedTaskSums(name: $0.name, sums: $1) },
      correct: done.correct)
    tell(.spent(seconds, on: .evaluation))
    var plans = plans
    if let accuracy = outcome.accuracy, plans.take(accuracy) { outcome.plan = plans.plan }
    write(.evaluation(outcome), then: .evaluated(done.unit, outcome), now: now)
  }
}
