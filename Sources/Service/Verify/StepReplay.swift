import Coordination
import Ledger
import NestedLearning
import Tensors
import Training
import WireProtocol

/// Computes steps of a run again, one after the other from a state of it: shards as a worker does, cut as the record has
/// them, and what comes of them as the coordinator does. Each is held to its record.
final class StepReplay {
  let plan: RunPlan
  private let ledger: Ledger
  let computer: ShardComputer
  let batches: any BatchSource
  private let layout: TierLayout
  let engine: StepEngine
  /// Ascending by step.
  let evaluations: [EvaluationRecord]
  /// What of these rows are taken by.
  private let followed: FollowedEvaluations
  /// The tier plans that those before the next step have led to.
  private var plans: PlanCourse

  /// - Parameter computer: has the run's model.
  init(
    plan: RunPlan, ledger: Ledger, computer: ShardComputer, batches: any BatchSource,
    state: NestedTrainerState
  )
    throws
  {
    (self.plan, self.ledger, self.computer, self.batches) = (plan, ledger, computer, batches)
    layout = plan.layout
    evaluations = try ledger.evaluations()
    followed = FollowedEvaluations(evaluations, config: plan.config)
    plans = PlanCourse(config: plan.config, scheduler: plan.scheduler)
      .after(followed.accuracies.prefix { $0.step < state.step })
    engine = StepEngine(state: state)
    for tier in engine.tierValues() { try set(tier) }
  }

  func set(_ tier: TierValues) throws {
    try computer.apply(
      ParametersMessage(tier: tier.tier, version: tier.version, digest: tier.digest, values: tier.values))
  }

  /// Everything after the last step, for comparing.
  func snapshot() throws -> TrainerSnapshot { try engine.snapshot() }

  /// Computes and applies the step after the last one.
  ///
  /// - Returns: what is wrong with it, by shard; empty if it is proved.
  func replay(_ step: Int) throws -> (faults: [StepFault], recordedSeconds: Double) {
    let recorded = try RecordedStep(step, ledger: ledger)
    let seconds = recorded.record.seconds
    followEvaluation(before: step)
    let due = engine.state.tiersDue(at: step)
    guard isComputed(step, due) else {
      let applied = try engine.skip(step: step, course(of: step))
      return (try faults(of: applied, recorded, []), seconds)
    }
    let batches = UnitBatches(batches.microBatches(step: step, after: followed))
    guard let parts = recorded.cut(leafCount: batches.microBatches.count, tiers: due) else {
      let detail = "the recorded shards do not make up the step"
      return ([StepFault(step: step, direction: .record, detail: detail)], seconds)
    }
    var proofs = try compute(parts, recorded, batches)
    try take(&proofs, step: step, due: due, leafCount: batches.microBatches.count)
    let applied = try engine.apply(
      step: step, losses: try losses(of: proofs, batches), results: proofs.map(\.result),
      course(of: step))
    let faults = try faults(of: applied, recorded, proofs)
    for tier in applied.changed { try set(tier) }
    return (faults, seconds)
  }

  /// The evaluation between a step and the one before may have led to another tier plan.
  private func followEvaluation(before step: Int) {
    guard let accuracy = followed.accuracies.first(where: { $0.step == step - 1 }), plans.take(accuracy)
    else {
      return
    }
    engine.adopt(plans.plan)
  }

  private func course(of step: Int) -> StepCourse {
    StepCourse(sampling: batches.sampling(step: step, after: followed), baseRate: baseRate(at: step))
  }

  /// What the evaluations before a step have made of the base rate; nil: the config's.
  private func baseRate(at step: Int) -> Double? {
    guard plan.config.lrSchedule == .plateau else { return nil }
    var progress = RunProgress()
    for evaluation in evaluations where evaluation.step < step {
      progress.evaluated(loss: evaluation.loss, plan.config)
    }
    return progress.baseRate
  }

  /// A step of which neither gradients nor a loss are wanted is not computed.
  private func isComputed(_ step: Int, _ due: [Int]) -> Bool {
    !due.isEmpty || step % plan.config.lossEvery == 0
  }

  private func compute(
    _ parts: [(shard: Shard, recorded: RecordedShard?)], _ step: RecordedStep, _ batches: UnitBatches
  ) throws -> [ShardProof] {
    try parts.enumerated().map { number, part in
      let node = part.shard.node
      let count = batches.microBatches.count
      let message = try computer.compute(
        AssignMessage(
          attempt: number + 1, purpose: .train, step: step.record.step, leafCount: count, level: node.level,
          index: node.index, tiers: part.shard.tiers, window: plan.usesWindows,
          stepTokens: max(1, batches.trainedTokens),
          parameterVersions: engine.state.optimizer.updateCounts, dropoutSeed: plan.dropoutSeed,
          microBatches: Array(batches.microBatches[node.leaves(count: count)])),
        watch: ComputationWatch())
      return ShardProof(
        part.shard, message, part.recorded, step, layout: layout, usesWindows: plan.usesWindows)
    }
  }

  /// Gives the results to the engine, and looks at what workers have made of theirs on the way.
  private func take(_ proofs: inout [ShardProof], step: Int, due: [Int], leafCount: Int) throws {
    guard plan.usesWindows else {
      let unit = WorkUnit(purpose: .train, step: step, leafCount: leafCount, dueTiers: due)
      for proof in proofs { try engine.collect(proof.result.message, of: proof.result.shard, in: unit) }
      return
    }
    try engine.keep(proofs.map(\.result))
    for place in proofs.indices {
      try proofs[place].lookAtPartialSums({ engine.chain(of: $0, through: step) }, leafCount: leafCount)
    }
  }

  /// Added by the fixed tree; shards of the same micro-batches with other tiers have the same.
  private func losses(of proofs: [ShardProof], _ batches: UnitBatches) throws -> StepLosses {
    let count = batches.microBatches.count
    var losses: [TreeNode: Double] = [:]
    var terms: [TreeNode: ObjectiveTerms] = [:]
    for proof in proofs {
      losses[proof.result.shard.node] = proof.result.message.lossSum
      terms[proof.result.shard.node] = proof.result.message.terms
    }
    let root = TreeNode.root(count: count)
    return StepLosses(
      task: try ReductionTree.combine(losses, into: root, count: count) { $0 += $1 },
      taskTokens: batches.trainedTokens - batches.replayedTokens,
      terms: terms.isEmpty
        ? nil : try ReductionTree.combine(terms, into: root, count: count) { $0 = $0 + $1 },
      replayTokens: batches.replayedTokens)
  }

  // MARK: - What is wrong

  private func faults(
    of applied: AppliedStep, _ recorded: RecordedStep, _ proofs: [ShardProof]
  ) throws -> [StepFault] {
    let record = recorded.record
    let agrees = applied.digest == record.digest
    let active = Set(applied.outcome.activeTiers)
    var faults = proofs.compactMap { proof in
      let tiers = proof.result.shard.tiers
      // A shard without tiers has brought the loss alone.
      return proof.fault(
        stepAgrees: tiers.isEmpty
          ? record.loss?.bitPattern == applied.loss?.bitPattern : agrees && active.isSuperset(of: tiers))
    }
    if !agrees, !faults.contains(where: \.isOfWorker) {
      faults.append(try faultBeyondWorkers(applied, record))
    } else if agrees, faults.isEmpty,
      record.loss?.bitPattern != applied.loss?.bitPattern
        || record.gradNorm.bitPattern != applied.outcome.gradNorm.bitPattern
    {
      let detail = "the loss or the norm of the gradients is not the recorded one"
      faults.append(StepFault(step: record.step, direction: .record, detail: detail))
    }
    return faults
  }

  /// All results of workers are right, and the state is not the recorded one: either the coordinator has come to another,
  /// and the run has gone on from that, or it went on from this one, and the ledger was changed.
  private func faultBeyondWorkers(_ applied: AppliedStep, _ record: StepRecord) throws -> StepFault {
    switch try wentOnFromHere() {
    case true?:
      StepFault(
        step: record.step, direction: .record,
        detail: "its digest is \(record.digest) in the ledger, and the run has gone on from \(applied.digest)"
      )
    case false?:
      StepFault(
        step: record.step, direction: .reduction,
        detail: "all results of workers are right, and what the coordinator has made of them is not")
    case nil:
      StepFault(
        step: record.step, direction: .reduction,
        detail:
          "all results of workers are right; what the coordinator has made of them is not, or the ledger was changed"
      )
    }
  }

  /// Whether what the run did next was done with the state as it is here; nil if nothing tells.
  private func wentOnFromHere() throws -> Bool? {
    let last = try ledger.lastStep()
    var next = engine.state.step + 1
    while next <= last {
      let due = engine.state.tiersDue(at: next)
      if isComputed(next, due) {
        let recorded = try RecordedStep(next, ledger: ledger)
        let batches = UnitBatches(batches.microBatches(step: next, after: followed))
        guard let parts = recorded.cut(leafCount: batches.microBatches.count, tiers: due),
          !recorded.shards.isEmpty
        else { return nil }
        for tier in engine.tierValues() { try set(tier) }
        return try compute(parts, recorded, batches).allSatisfy(\.isSame)
      }
      next += 1
    }
    let own =
      engine.tierValues().map { ($0.tier, $0.version, $0.digest) }
      + engine.copyStates().map { ($0.level, $0.version, $0.digest) }
    let tiers = try ledger.tiers()
    guard tiers.count == own.count else { return nil }
    return own.allSatisfy { index, version, digest in
      tiers.contains { $0.tier == index && $0.version == version && $0.digest == digest }
    }
  }
}
