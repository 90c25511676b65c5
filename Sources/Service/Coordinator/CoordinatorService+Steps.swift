import Coordination
import Foundation
import JSON
import Ledger
import NestedLearning

/// One step, and one evaluation.
extension CoordinatorService {
  func train(_ step: Int) throws {
    let started = MonotonicClock.now()
    let active = plan.scheduler.activeTiers(at: step)
    let due = plan.usesWindows ? plan.scheduler.tiers.map(\.index) : active
    if due.isEmpty && step % plan.config.lossEvery != 0 { return try skip(step, started: started) }
    unitData = data(ofStep: step)
    let isFlush = isFlush(step)
    if plan.usesWindows { archive.keep(tiers, step: step) }
    telemetry.context.set("step", .number(step))
    let whole = WorkUnit(
      purpose: .train, step: step, leafCount: unitData.microBatches.count, dueTiers: due,
      window: plan.usesWindows,
      isFlush: isFlush, trainedTokens: unitData.microBatches.map(\.trainedTokens))
    guard let unit = try timing(.compute, { try compute(whole) }) else { return }
    let results = takePayloads(of: unit)
    guard try passesAudit(unit, results) else { return }
    try keep(results)
    guard try completeWindows(of: isFlush ? due : active, through: step) else { return }
    if let windows = core.windows { archive.forget(before: windows.oldestStep(after: step)) }
    let applied = try timing(.update) {
      try awaiting { [engine] in
        try engine.apply(step: step, lossSum: unit.lossSum, tokens: unit.tokens, results: results)
      }
    }
    try commit(applied, seconds: MonotonicClock.now().seconds(since: started))
    try handle(.committed(unit.unit))
    progress.applied(step: step)
    if !applied.changed.isEmpty {
      for tier in applied.changed { tiers[tier.tier] = tier }
      try handle(.parametersChanged(versions(of: applied.changed)))
    }
    try finish(applied)
  }

  /// A step of which nothing is wanted: no gradient, and no loss. No worker hears of it.
  private func skip(_ step: Int, started: Instant) throws {
    let applied = try awaiting { [engine] in try engine.skip(step: step) }
    try commit(applied, seconds: MonotonicClock.now().seconds(since: started))
    progress.applied(step: step)
    try finish(applied)
  }

  private func finish(_ applied: AppliedStep) throws {
    let line = progressLine.step(
      applied.step, loss: applied.loss, activeTiers: applied.outcome.activeTiers, now: Self.seconds())
    tell(
      line, "step \(applied.step) of \(plan.config.numSteps)",
      [
        "step": "\(applied.step)", "loss": applied.loss.map { .stringConvertible($0) } ?? "none",
        "tokens": "\(applied.tokens)",
        "active_tiers": .array(applied.outcome.activeTiers.map { "\($0)" }),
      ])
    if snapshotIsDue() { try snapshot() }
  }

  /// One transaction, before any worker hears of the next step. A step that was committed before a crash is computed
  /// again, and must come out the same.
  private func commit(_ applied: AppliedStep, seconds: Double) throws {
    let (records, notes, run) = (takeRecords(), takeNotes(), run)
    if let recorded = try run.ledger.step(applied.step) {
      guard recorded.digest == applied.digest else {
        throw ServiceError(
          "step \(applied.step), computed again, has the digest \(applied.digest), but the ledger has \(recorded.digest)",
          remedy:
            "the run's files, the program or this machine's arithmetic have changed since; do not trust this run"
        )
      }
      return try durably("recording who computed step \(applied.step) again") { _ in
        try run.ledger.record(assignments: records, notes: notes)
      }
    }
    let row = plan.metrics(
      applied, seconds: seconds, snapshotSeconds: snapshots.spent - snapshotSecondsTold, traffic: traffic)
    let bytes = traffic
    (traffic, snapshotSecondsTold) = (Traffic(tierCount: traffic.tiers.count), snapshots.spent)
    let record = StepRecord(
      step: applied.step, loss: applied.loss, tokens: applied.tokens,
      learningRate: applied.outcome.learningRate,
      gradNorm: applied.outcome.gradNorm, activeTiers: applied.outcome.activeTiers, digest: applied.digest,
      seconds: seconds,
      metrics: row)
    let changed = applied.changed.map { plan.record(of: $0) }
    let began = MonotonicClock.now()
    defer { metrics.committed(ledgerSeconds: MonotonicClock.now().seconds(since: began)) }
    try durably("committing step \(applied.step)") { isRepeated in
      let isDone = isRepeated ? try run.ledger.step(record.step)?.digest == record.digest : false
      if !isDone { try run.ledger.commit(record, tiers: changed, assignments: records, notes: notes) }
      try run.trainMetrics.append(row, step: record.step)
    }
    metrics.applied(applied, seconds: seconds, traffic: bytes)
  }

  func evaluate() throws {
    let step = progress.step
    // A resumed run takes the evaluations that it has made already from the ledger.
    if let recorded = try run.ledger.evaluations().first(where: { $0.step == step }) {
      progress.evaluated(loss: recorded.loss, plan.config)
      return
    }
    let started = MonotonicClock.now()
    unitData = UnitData(plan.data.evaluationBatches(batchSize: plan.config.batchSize))
    let whole = WorkUnit(
      purpose: .evaluate, step: step, leafCount: unitData.microBatches.count, dueTiers: [],
      trainedTokens: unitData.microBatches.map(\.trainedTokens))
    guard let unit = try compute(whole) else { return }
    let loss = unit.lossSum / Double(unit.tokens)
    let isBest = loss < progress.bestLoss ?? .infinity
    let seconds = MonotonicClock.now().seconds(since: started)
    metrics.evaluated(loss: loss)
    metrics.spent(seconds, on: .evaluation)
    try record(unit, loss: loss, isBest: isBest, seconds: seconds)
    try handle(.committed(unit.unit))
    progress.evaluated(loss: loss, plan.config)
    let text = String(
      format: "Evaluation after step %d | Loss: %.4f | Perplexity: %.2f", step, loss,
      Evaluation.perplexity(loss))
    tell(
      progressLine.message(text + (isBest ? " | best so far" : "")), "evaluation after step \(step)",
      ["step": "\(step)", "loss": .stringConvertible(loss), "best": "\(isBest)"])
  }

  private func record(_ unit: CompletedUnit, loss: Double, isBest: Bool, seconds: Double) throws {
    let (step, perplexity) = (unit.unit.step, Evaluation.perplexity(loss))
    let row: JSONValue = [
      "step": .number(step), "loss": .number(loss), "perplexity": .number(perplexity),
      "tokens": .number(unit.tokens),
    ]
    let evaluation = EvaluationRecord(
      step: step, loss: loss, perplexity: perplexity, tokens: unit.tokens, isBest: isBest, seconds: seconds,
      metrics: row)
    let (records, notes, run) = (takeRecords(), takeNotes(), run)
    try durably("recording the evaluation after step \(step)") { isRepeated in
      let isDone = isRepeated ? try run.ledger.evaluations().contains { $0.step == step } : false
      if !isDone { try run.ledger.record(evaluation: evaluation, assignments: records, notes: notes) }
      try run.evalMetrics.append(row, step: step)
    }
  }
}
