import Coordination
import JSON
import Ledger
import NestedLearning
import Training
import WireProtocol

/// A step that was committed before has come out otherwise now.
struct ReplayedStepDiffers: Error {
  let step: Int
  /// The digest that the ledger has.
  let recorded: String
}

extension EvaluatedAccuracy {
  /// What a recorded evaluation came to; nil if it did not count right tokens.
  init?(_ record: EvaluationRecord) {
    guard let correct = record.metrics["correct_tokens"]?.int else { return nil }
    self.init(step: record.step, correct: correct, tokens: record.tokens)
  }
}

extension EvaluationOutcome {
  /// Share of tokens whose likeliest token was right, if that was counted.
  var tokenAccuracy: Double? { correct.map { Double($0) / Double(max(1, tokens)) } }
}

/// Everything that a run writes passes through `perform`, on one queue.
extension OpenRun {
  /// The state of the last snapshot, or the one before step 1, and what the ledger knows beyond it.
  package func restoredRun(plan: any RunContents) throws -> (StepEngine, RestoredRun) {
    let (engine, progress) = try restore(plan: plan)
    let lastStep = try ledger.lastStep()
    let evaluations = try ledger.evaluations().filter { $0.step >= progress.step }
    let run = RestoredRun(
      progress: progress, tiers: engine.tierValues(), copies: engine.copyStates(),
      slowestCopy: engine.slowestCopy(), lastStep: lastStep,
      evaluations: Dictionary(evaluations.map { ($0.step, $0.loss) }, uniquingKeysWith: { $1 }),
      worstTasks: Dictionary(
        evaluations.compactMap { $0.worstTask(of: plan.config) }.map { ($0.step, $0.task) },
        uniquingKeysWith: { $1 }),
      accuracies: evaluations.compactMap(EvaluatedAccuracy.init), toUndo: try identitiesToUndo(),
      shards: try shards(of: progress.step + 1..<max(progress.step, lastStep) + 1))
    return (engine, run)
  }

  /// What the ledger knows of the shards of steps.
  package func shards(of steps: Range<Int>) throws -> [Int: [ComputedShard]] {
    var shards: [Int: [ComputedShard]] = [:]
    for step in steps { shards[step] = try ledger.shardDigests(step: step).compactMap(ComputedShard.init) }
    return shards
  }

  /// Writes what a run wants written. What is done already, when it is tried again, is not done twice.
  ///
  /// - Parameter engine: nil if the state could not be restored; then only the end of the run is written.
  package func perform(_ write: RunWrite, plan: any RunContents, engine: StepEngine?) throws
    -> RunWriteOutcome
  {
    let attempts = write.attempts.map(row)
    let notes = write.workers.map { note($0, profile: plan.numericProfile) }
    switch write.content {
    case .step(let step): try commit(step, attempts, notes, plan: plan, isRepeated: write.isRepeated)
    case .evaluation(let evaluation):
      try record(evaluation, attempts, notes, plan: plan, isRepeated: write.isRepeated)
    case .tiers, .replayedStep, .checkpoint, .snapshot, .rollback, .end, .nothing:
      // They may be on the disk, while what they came along with is not.
      try ledger.record(assignments: attempts, notes: notes, mayBeThere: write.isRepeated)
    }
    switch write.content {
    case .step, .evaluation, .nothing: break
    case .tiers(let tiers, let copies):
      let scheduler = engine?.state.scheduler ?? plan.scheduler
      try ledger.record(
        tiers: tiers.map { plan.record(of: $0, scheduler) } + copies.map { plan.record(of: $0) })
    case .replayedStep(let applied): try compare(applied)
    case .checkpoint(let kind, let progress, let isReplay):
      guard let engine else { break }
      if let measured = engine.measured {
        // A run that trains nothing has nothing else to leave.
        if kind == .final { plan.keep(measured) }
        break
      }
      if isReplay, try hasCheckpoint(kind, from: progress.step) { break }
      try writeCheckpoint(kind, plan: plan, progress: progress, engine: engine)
    case .snapshot(let progress, let withDigest):
      // Of a measurement there is none to go on from: it begins anew.
      guard let engine, engine.measured == nil else { break }
      try writeSnapshot(engine: engine, progress: progress, withDigest: withDigest)
    case .rollback(let identities, let step):
      return try rollBack(identities, before: step, isRepeated: write.isRepeated)
    case .end(let ending): try finish(ending)
    }
    return .done
  }

  private func commit(
    _ step: CommittedStep, _ attempts: [AssignmentRow], _ notes: [WorkerNote],
    plan: any RunContents,
    isRepeated: Bool
  ) throws {
    let applied = step.applied
    let row = plan.metrics(
      applied, seconds: step.seconds, snapshotSeconds: step.snapshotSeconds, traffic: step.traffic,
      memory: memory())
    let record = StepRecord(
      step: applied.step, loss: applied.loss, tokens: applied.tokens,
      learningRate: applied.outcome.learningRate, gradNorm: applied.outcome.gradNorm,
      activeTiers: applied.outcome.shownTiers, digest: applied.digest, seconds: step.seconds, metrics: row)
    let leafCount = plan.config.gradientAccumulationSteps
    let isDone = isRepeated ? try ledger.step(record.step)?.digest == record.digest : false
    if !isDone {
      try ledger.commit(
        record,
        tiers: applied.changed.map { plan.record(of: $0, applied.scheduler) }
          + applied.followed.map { plan.record(of: $0) },
        assignments: attempts, notes: notes,
        shardDigests: step.shards.map { ShardDigestRecord($0, leafCount: leafCount) },
        layerDigests: zip(step.shards, step.traces).map {
          LayerDigestRecord($0, $1, leafCount: leafCount)
        }, mayBeThere: isRepeated)
    }
    try trainMetrics.append(row, step: record.step)
  }

  private func compare(_ applied: AppliedStep) throws {
    guard let recorded = try ledger.step(applied.step)?.digest, recorded != applied.digest else { return }
    throw ReplayedStepDiffers(step: applied.step, recorded: recorded)
  }

  private func record(
    _ evaluation: EvaluationOutcome, _ attempts: [AssignmentRow], _ notes: [WorkerNote],
    plan: any RunContents, isRepeated: Bool
  ) throws {
    let perplexity = Evaluation.perplexity(evaluation.loss)
    var row: JSONObject = [
      "step": .number(evaluation.step), "loss": .number(evaluation.loss),
      "perplexity": .number(perplexity), "tokens": .number(evaluation.tokens),
      "long_rows": .number(plan.rowsCut.validation.rows),
      "tokens_cut": .number(plan.rowsCut.validation.tokens),
    ]
    if !evaluation.tasks.isEmpty {
      row["tasks"] = .object(
        JSONObject(evaluation.tasks.map { .init(key: $0.name, value: TaskMetrics($0.sums).json) }))
      if plan.config.tasksSchedule == .worstFirst, let worst = WorstTask.of(evaluation.tasks.map(\.sums)) {
        row["worst_task"] = .string(evaluation.tasks[worst].name)
      }
    }
    if let correct = evaluation.correct, let accuracy = evaluation.tokenAccuracy {
      row["accuracy"] = .number(accuracy)
      row["correct_tokens"] = .number(correct)
    }
    let record = EvaluationRecord(
      step: evaluation.step, loss: evaluation.loss, perplexity: perplexity, tokens: evaluation.tokens,
      isBest: evaluation.isBest, seconds: evaluation.seconds, metrics: .object(row))
    try ledger.record(
      evaluation: record, plan: evaluation.plan.map(TierPlanRecord.init), assignments: attempts,
      notes: notes,
      mayBeThere: isRepeated)
    try evalMetrics.append(.object(row), step: record.step)
  }

  private func rollBack(_ identities: [String], before step: Int?, isRepeated: Bool) throws -> RunWriteOutcome
  {
    for identity in identities { try rollBack(identity: identity) }
    if let step { try rollBack(before: step) }
    // An earlier try may have changed the ledger, but not yet the files.
    if isRepeated { try followLedger() }
    let records = try newReturns()
    let lines = records.map { record in
      record.identity.isEmpty
        ? "went back from step \(record.fromStep) to step \(record.toStep): a partial sum of an unknown worker was wrong"
        : """
        went back from step \(record.fromStep) to step \(record.toStep): \(record.identity) computed wrongly, and \
        nobody verified its results from step \(record.firstUnverifiedStep) on
        """
    }
    let outcome = RunWriteOutcome.rolledBack(lines, lastStep: try ledger.lastStep())
    returnsTold += records.count
    return outcome
  }

  private func finish(_ ending: RunEnding) throws {
    try trainMetrics.synchronize()
    try evalMetrics.synchronize()
    try ledger.finish(ending.outcome)
  }

  // MARK: - Rows

  private func row(_ record: EndedAttempt) -> AssignmentRow {
    AssignmentRow(
      term: term, attempt: record.attempt, purpose: record.purpose.rawValue, step: record.step,
      firstMicroBatch: record.firstMicroBatch, lastMicroBatch: record.lastMicroBatch, tiers: record.tiers,
      worker: record.workerID, handedOutAt: MonotonicClock.timestamp(of: record.handedOut),
      finishedAt: MonotonicClock.timestamp(of: record.finished), seconds: record.seconds,
      outcome: record.outcome.rawValue, verified: record.verified)
  }

  private func note(_ news: WorkerNews, profile: String) -> WorkerNote {
    switch news {
    case .joined(let workerID, let hello, let key, let at):
      .joined(
        WorkerRecord(
          term: term, id: workerID, identity: key, host: hello.host, pid: hello.processID,
          threads: hello.threads, isa: hello.isa, numericProfile: profile, program: hello.program,
          isLocal: hello.localIndex != nil, joinedAt: MonotonicClock.timestamp(of: at)))
    case .left(let workerID, let reason, let at):
      .left(id: workerID, reason: reason, at: MonotonicClock.timestamp(of: at))
    case .quarantined(let workerID, let identity, let reason, let at):
      .quarantined(
        QuarantineRecord(
          identity: identity, term: term, worker: workerID, reason: reason,
          at: MonotonicClock.timestamp(of: at)))
    }
  }
}
