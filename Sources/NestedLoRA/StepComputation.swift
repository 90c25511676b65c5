import LanguageModel
import NestedLearning
import Service
import Training
import WireProtocol

/// Computes steps and evaluations of a run on this machine's own model, and applies them: added up as a cluster does, by
/// the fixed tree over micro-batches.
final class StepComputation {
  private(set) var state: NestedTrainerState
  private let model: TrainableModel
  private let batches: any BatchSource
  private let dropoutSeed: UInt64?
  /// What gradients are of; nil: the cross entropy of every trained token.
  private let objective: Objective?
  /// The tier plans that evaluations have led to.
  private var plans: PlanCourse

  init(plan: RunPlan, threads: Int) throws {
    state = try NestedTrainerState(
      config: plan.config, scheduler: plan.scheduler, parameters: plan.initialValues, shapes: plan.shapes)
    state.penalty = plan.penalty
    model = try plan.model(threads: threads)
    batches = plan.batchSource
    dropoutSeed = plan.dropoutSeed
    objective = plan.objective
    plans = PlanCourse(config: plan.config, scheduler: plan.scheduler)
  }

  /// Takes what an evaluation came to.
  ///
  /// - Returns: the tier plan that it leads to, if that is another.
  func follow(_ accuracy: EvaluatedAccuracy) -> TierPlan? {
    guard plans.take(accuracy), let change = plans.plan.change else { return nil }
    state.follow(change)
    return plans.plan
  }

  /// Computes and applies a step.
  ///
  /// - Parameters:
  ///   - followed: what evaluations have found so far.
  ///   - baseRate: in place of the config's.
  func train(
    _ step: Int, after followed: FollowedEvaluations, baseRate: Double?
  ) throws -> (ComputedStep, StepOutcome) {
    let computed = try compute(step, after: followed)
    let outcome = try computed.apply(to: &state, baseRate: baseRate)
    try set(outcome.activeTiers.flatMap { state.scheduler.tiers[$0].parameters }, of: state.parameters)
    return (computed, outcome)
  }

  private func set(_ names: [String], of values: [String: [Float]]) throws {
    for name in names {
      try (values[name] ?? []).withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
  }

  /// The gradients that a step needs over its micro-batches; nothing at all where neither they nor a loss are wanted
  /// (`loss_every`).
  private func compute(_ step: Int, after followed: FollowedEvaluations) throws -> ComputedStep {
    let tiers = state.tiersDue(at: step)
    var computed = ComputedStep(step: step)
    computed.sampling = batches.sampling(step: step, after: followed)
    if tiers.isEmpty, step % state.config.lossEvery != 0 { return computed }
    let unit = UnitBatches(batches.microBatches(step: step, after: followed))
    let names = Set(tiers.flatMap { state.scheduler.tiers[$0].parameters })
    let usesWindows = state.window != nil
    var microBatches: [GradientSums] = []
    // Of a discarding run no more gradients are held than the tree has levels.
    let sum = try ReductionTree.reduce(
      .root(count: unit.microBatches.count), count: unit.microBatches.count,
      leaf: { g in
        let leaf = try leaf(unit.microBatches[g], step: step, names: names)
        guard usesWindows else { return leaf }
        microBatches.append(
          leaf.gradients.mapValues { GradientWindow.scaled($0, trainedTokens: unit.trainedTokens) })
        return Leaf(loss: leaf.loss, terms: leaf.terms, gradients: [:])
      },
      add: { sum, other in
        sum.loss += other.loss
        if let own = sum.terms, let others = other.terms { sum.terms = own + others }
        try ReductionTree.add(other.gradients, to: &sum.gradients)
      })
    computed.losses = StepLosses(
      task: sum.loss, taskTokens: unit.trainedTokens - unit.replayedTokens, terms: sum.terms,
      replayTokens: unit.replayedTokens)
    if !tiers.isEmpty {
      computed.gradients = usesWindows ? .scaledMicroBatches(microBatches) : .sums(sum.gradients)
    }
    return computed
  }

  /// What a micro-batch comes to.
  private struct Leaf {
    var loss: Double
    var terms: ObjectiveTerms?
    var gradients: GradientSums
  }

  private func leaf(_ batch: AssignedMicroBatch, step: Int, names: Set<String>) throws -> Leaf {
    let dropout = dropoutSeed.map { DropoutKey(seed: $0, step: step, microBatch: batch.number) }
    if let objective {
      let result = try model.gradients(
        MicroBatch(batch), of: names, dropout: dropout, objective: objective,
        replayed: Set(batch.replayedRows), rowWeights: batch.rowWeights)
      guard result.sums.task.isFinite, result.sums.objective.isFinite else {
        throw TrainerError.notFinite(name: "step \(step)")
      }
      return Leaf(
        loss: result.sums.task, terms: ObjectiveTerms(result.sums),
        gradients: result.gradients.mapValues(\.values))
    }
    let result = try model.gradients(MicroBatch(batch), of: names, dropout: dropout)
    guard result.lossSum.isFinite else { throw TrainerError.notFinite(name: "step \(step)") }
    return Leaf(loss: result.lossSum, gradients: result.gradients.mapValues(\.values))
  }

  /// Mean loss over the trained tokens of the validation rows, of what training comes to.
  ///
  /// - Parameter scale: of the adapter.
  func evaluate(scale: Double) throws -> Double {
    try ofPublished { try evaluationLoss { try model.evaluate($0, adapterScale: scale) } }
  }

  /// The number of the worst task of the validation rows; nil without tasks.
  func worstTask() throws -> Int? {
    guard objective?.byTask == true else { return nil }
    let sums = try ofPublished {
      try batches.evaluationTokens().indices.map {
        try model.taskScores(MicroBatch(batches.evaluationBatch($0))).map(TaskSums.init)
      }
    }
    return WorstTask.of(
      try ReductionTree.reduce(sums) { sums, others in sums = zip(sums, others).map { $0 + $1 } })
  }

  /// Mean loss over the trained tokens of the validation rows, and, where a curriculum follows that, how many are right.
  func evaluate() throws -> (loss: Double, accuracy: EvaluatedAccuracy?) {
    guard state.config.curriculumStrategy.followsEvaluations else { return (try evaluate(scale: 1), nil) }
    var correct = 0
    let loss = try ofPublished {
      try evaluationLoss {
        let scores = try model.scores($0)
        correct += scores.correct
        return scores.losses.reduce(0, +)
      }
    }
    let tokens = batches.evaluationTokens().reduce(0, +)
    return (loss, EvaluatedAccuracy(step: state.step, correct: correct, tokens: tokens))
  }

  /// With the parameters that training comes to in the model.
  private func ofPublished<Result>(_ body: () throws -> Result) throws -> Result {
    guard state.consolidation != nil else { return try body() }
    try set(state.scheduler.parameters, of: state.published)
    let result = try body()
    try set(state.scheduler.parameters, of: state.parameters)
    return result
  }

  private func evaluationLoss(_ lossSum: (MicroBatch) throws -> Double) throws -> Double {
    let tokens = batches.evaluationTokens()
    let losses = try tokens.indices.map { try lossSum(MicroBatch(batches.evaluationBatch($0))) }
    let loss = try ReductionTree.reduce(losses) { $0 += $1 } / Double(tokens.reduce(0, +))
    guard loss.isFinite else { throw TrainerError.notFinite(name: "an evaluation") }
    return loss
  }
}

/// What was computed of a step.
struct ComputedStep {
  let step: Int
  /// None of a step that was not computed.
  var losses = StepLosses(task: 0, taskTokens: 0)
  /// Nil where no tier wants any.
  var gradients: StepGradients?
  /// How its rows were taken, with the rate of a curriculum's stage.
  var sampling: StepSampling?

  init(step: Int) { self.step = step }

  /// - Parameter baseRate: in place of the config's, unless the stage of a curriculum has its own.
  func apply(to state: inout NestedTrainerState, baseRate: Double? = nil) throws -> StepOutcome {
    let rate = sampling?.learningRate ?? baseRate
    guard let gradients else { return try state.skip(step: step, baseRate: rate) }
    return try state.apply(
      step: step, trainedTokens: losses.tokens, taskLosses: losses.meanTasks, gradients: gradients,
      baseRate: rate)
  }
}
