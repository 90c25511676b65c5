import Coordination
import Digests
import Foundation
import JSON
import NestedLearning
import WireProtocol

/// A tier's values at one version, ready to be sent.
package struct TierValues: Sendable {
  package let tier: Int
  /// Number of updates applied.
  package let version: Int
  package let digest: String
  package let values: WireObject
}

/// What applying a step came to.
package struct AppliedStep: Sendable {
  package let step: Int
  /// Mean loss over the trained tokens of task rows; nil if it was not computed.
  package let loss: Double?
  /// Trained tokens, those of replayed rows included.
  package let tokens: Int
  /// What came of the step's tokens.
  package let losses: StepLosses
  package let outcome: StepOutcome
  package let updateCounts: [Int]
  /// The tiers that were updated.
  package let changed: [TierValues]
  /// The slower copies that followed.
  package let followed: [CopyState]
  /// Over the digests of all tiers' parameters: what a replayed step must give again.
  package let digest: String
  /// The norms of what the windows of tiers have added up that the step did not update; only if the engine notes them, and
  /// all of it is here.
  package var windowNorms: [(tier: Int, norm: Double)] = []
  /// How its rows were taken; nil where nothing goes by how difficult they are.
  package var sampling: StepSampling?
  /// The tiers, by the plans up to this step.
  package let scheduler: ParameterTierScheduler
}

/// The state of training, and the arithmetic of a step on it: the sums of the workers' gradients by the fixed tree,
/// division, clipping, update. Belongs to the queue that the coordinator runs steps on.
package final class StepEngine: @unchecked Sendable {
  package private(set) var state: NestedTrainerState
  private let layout: TierLayout
  private var digests: [String]
  /// Of the slower copies, from level 1.
  private var copyDigests: [String]
  /// Whether any update has changed anything; a run that was resumed has passed that test before.
  private var hasChanged: Bool
  /// The windows' sums, as far as they are here; nil if gradients of inactive tiers are discarded.
  private var windows: WindowStore?
  /// What has come of the step in hand, without windows.
  private var early: EagerReduction?
  /// The audit that is being made, if one is.
  private var audit: PartialSumAudit?
  /// What steps are added up for, in a run that looks and does not train.
  private var measurer: Measurer?
  /// Whether steps say how large the sums of open windows are.
  package var notesWindowNorms = false
  /// A fault that is made on purpose: changes the sum of a step's gradients.
  package var tamper: @Sendable (inout StepGradients) -> Void = { _ in }

  package init(state: NestedTrainerState, measurer: Measurer? = nil) {
    self.state = state
    self.measurer = measurer
    hasChanged = state.step > 0
    layout = TierLayout(scheduler: state.scheduler, shapes: state.shapes)
    digests = state.scheduler.tiers.map { StateDigest.of(state.parameterTensors(tier: $0.index)) }
    copyDigests = (state.consolidation?.copies.indices.map { $0 + 1 } ?? []).map {
      StateDigest.of(state.copyTensors($0))
    }
    windows = WindowStore(state: state, layout: layout)
  }

  /// Goes by a tier plan that begins; between two steps.
  package func adopt(_ plan: TierPlan) {
    guard let change = plan.change else { return }
    state.follow(change)
    windows?.follow(state.scheduler)
  }

  /// Takes what workers sent of windows: gradients of single steps, chains, sums over chains.
  ///
  /// - Throws: `TrainerError.notFinite`, or `TrainingError` if something has another size than its tier.
  package func keep(_ results: [UnitResult]) throws {
    for (step, results) in results.bySteps {
      for result in results { try windows?.take(result.message, node: result.shard.node, step: step) }
    }
  }

  /// Carries out a part of an audit.
  ///
  /// - Returns: what there is to say on each of its partial sums, in their order, once it is to be judged.
  /// - Throws: `TrainingError` if something has another size than its tier.
  package func audit(_ task: AuditTask) throws -> [PartialSumAudit.Verdict]? {
    switch task {
    case .begin(let audits):
      audit = PartialSumAudit(
        audits, clock: WindowClock(state.scheduler.tiers),
        microBatchCount: state.config.gradientAccumulationSteps, chain: chain)
    case .add(let results):
      for (step, results) in results.bySteps { try audit?.add(results.map(\.message), step: step) }
    case .judge(let sent):
      defer { audit = nil }
      return try audit?.verdicts(on: sent)
    }
    return nil
  }

  /// Adds up what a worker sent for a step while others are still awaited (`WorkUnit.isSummedAsItComes`).
  ///
  /// - Throws: `TrainingError`, `ReductionError` if it is not what can be added up.
  package func collect(_ message: consuming ResultMessage, of shard: Shard, in unit: WorkUnit) throws {
    if early?.step != unit.step {
      early = EagerReduction(step: unit.step, count: state.config.gradientAccumulationSteps)
    }
    try early?.take(message, of: shard)
  }

  /// Drops what a worker sent, and all that it was added to; what was not collected is none of it.
  package func discard(_ attempt: Int) throws { try early?.discard(attempt) }

  /// Results and sums that are held until others come, each of the size of a gradient.
  package var heldCount: Int { early?.heldCount ?? 0 }

  /// A chain that is here through exactly this step, for a worker that goes on from it.
  package func chain(of key: WindowKey, through step: Int) -> [Float]? {
    windows?.chain(of: key, through: step)
  }

  /// Partial sums through exactly this step, for a worker that goes on from them; nil if none of them is here.
  package func windowMessage(_ keys: [WindowKey], through step: Int) -> WindowMessage? {
    let clock = WindowClock(state.scheduler.tiers)
    var message = WindowMessage(step: step, firsts: [], chains: [])
    for key in keys {
      guard let values = chain(of: key, through: step) else { continue }
      message.firsts.append(clock.start(tier: key.tier, step: step))
      message.chains.append(WindowChain(tier: key.tier, microBatch: key.microBatch, floats: values))
    }
    return message.chains.isEmpty ? nil : message
  }

  /// Everything that the run needs to go on after its last step, the windows' chains included.
  ///
  /// - Throws: `TrainingError` if a chain is not here.
  package func snapshot() throws -> TrainerSnapshot {
    if let windows, state.step > 0 { try state.setWindow(windows.chains(after: state.step)) }
    return state.snapshot()
  }

  /// All tiers as they are.
  package func tierValues() -> [TierValues] { state.scheduler.tiers.map { values(tier: $0.index) } }

  /// What a run that does not train has come to so far; nil of others.
  package var measured: MeasuredValues? { measurer?.values }

  /// The slower copies as they are.
  package func copyStates() -> [CopyState] { copyDigests.indices.map { copyState($0 + 1) } }

  /// What evaluations are of, where that is not the tiers as they are: the slowest copy. It is what tier 0 was after the
  /// last step at which it followed, and has that version of it.
  package func slowestCopy() -> TierValues? {
    guard let consolidation = state.consolidation, let slowest = consolidation.slowest,
      let digest = copyDigests.last
    else { return nil }
    return values(
      tier: 0, version: Consolidation.lastBoundary(consolidation.frequencies, upTo: state.step),
      digest: digest, of: slowest)
  }

  private func copyState(_ level: Int) -> CopyState {
    CopyState(
      level: level, version: state.step / (state.consolidation?.frequencies[level] ?? 1),
      digest: copyDigests[level - 1])
  }

  private func values(tier: Int) -> TierValues {
    values(
      tier: tier, version: state.optimizer.updateCounts[tier], digest: digests[tier], of: state.parameters)
  }

  private func values(
    tier: Int, version: Int, digest: String, of parameters: [String: [Float]]
  ) -> TierValues {
    TierValues(
      tier: tier, version: version, digest: digest,
      values: WireObject(
        name: ParametersMessage.objectName, sharing: layout.joined(tier: tier) { parameters[$0] ?? [] }))
  }

  /// Applies a step at which no tier is due, and of which nothing was computed.
  package func skip(step: Int, _ course: StepCourse = StepCourse()) throws -> AppliedStep {
    let outcome = try state.skip(step: step, baseRate: course.baseRate)
    var applied = AppliedStep(
      step: step, loss: nil, tokens: 0, losses: StepLosses(task: 0, taskTokens: 0), outcome: outcome,
      updateCounts: state.optimizer.updateCounts,
      changed: [], followed: [], digest: parametersDigest(), scheduler: state.scheduler)
    applied.sampling = course.sampling
    return applied
  }

  /// Applies a step.
  ///
  /// - Parameters:
  ///   - results: every (node, tiers) of the step once. Their bytes are those that were collected, or, with windows, kept.
  ///   - course: of the run so far.
  /// - Throws: if gradients are missing or not finite, or if the first update with a rate above 0 changes
  ///   nothing.
  package func apply(
    step: Int, losses: StepLosses, results: [UnitResult], _ course: StepCourse = StepCourse()
  ) throws -> AppliedStep {
    guard measurer == nil else { return try measure(step: step, losses: losses, results: results) }
    let active = state.scheduler.activeTiers(at: step)
    var gradients: StepGradients =
      try windows.map { .windowTotals(try $0.totals(tiers: active, boundary: step)) }
      ?? .sums(sums(step, results))
    tamper(&gradients)
    let outcome = try state.apply(
      step: step, trainedTokens: losses.tokens, taskLosses: losses.meanTasks, gradients: consume gradients,
      baseRate: course.baseRate)
    for tier in active { windows?.close(tier: tier, boundary: step) }
    hasChanged = hasChanged || outcome.changedParameters
    if !hasChanged && outcome.isWithoutEffect {
      throw TrainingError(
        "step \(step) was to update tiers \(outcome.activeTiers), and not one parameter changed",
        remedy:
          "every gradient is zero: check that the base model is a trained one and that the data have labels")
    }
    for tier in outcome.activeTiers { digests[tier] = StateDigest.of(state.parameterTensors(tier: tier)) }
    // All that have followed are what the fastest goes on from.
    for level in outcome.followed { copyDigests[level - 1] = digests[0] }
    var applied = AppliedStep(
      step: step, loss: losses.meanTask, tokens: losses.tokens, losses: losses, outcome: outcome,
      updateCounts: state.optimizer.updateCounts, changed: outcome.activeTiers.map { values(tier: $0) },
      followed: outcome.followed.map(copyState), digest: parametersDigest(), scheduler: state.scheduler)
    applied.sampling = course.sampling
    if notesWindowNorms { applied.windowNorms = try windowNorms(after: step) }
    return applied
  }

  private func windowNorms(after step: Int) throws -> [(tier: Int, norm: Double)] {
    try state.scheduler.tiers.filter { $0.hasOpenWindow(after: step) }.compactMap { tier in
      let chains = (0..<state.config.gradientAccumulationSteps).compactMap {
        chain(of: WindowKey(tier: tier.index, microBatch: $0), through: step)
      }
      guard chains.count == state.config.gradientAccumulationSteps else { return nil }
      let sum = try ReductionTree.reduce(chains) { Vectors.add($1, to: &$0) }
      return (tier.index, Vectors.sumOfSquares(sum).squareRoot())
    }
  }

  /// Takes a step that updates nothing.
  private func measure(step: Int, losses: StepLosses, results: [UnitResult]) throws -> AppliedStep {
    if measurer?.measurement.measure?.isByMicroBatch == true {
      measurer?.take(numbers: try numbers(results))
    } else {
      try measurer?.take(sums(step, results), trainedTokens: losses.tokens)
    }
    let outcome = try state.pass(step: step)
    return AppliedStep(
      step: step, loss: losses.meanTask, tokens: losses.tokens, losses: losses, outcome: outcome,
      updateCounts: state.optimizer.updateCounts, changed: [], followed: [], digest: measurer?.digest ?? "",
      scheduler: state.scheduler)
  }

  /// By micro-batch, in their order.
  private func numbers(_ results: [UnitResult]) throws -> [Float] {
    try results.flatMap(\.message.gradients).sorted { ($0.microBatch ?? 0) < ($1.microBatch ?? 0) }
      .flatMap { try $0.values.floats() }
  }

  /// The root of the fixed tree for every active tier, from what was collected.
  private func sums(_ step: Int, _ results: [UnitResult]) throws -> GradientSums {
    let early = early?.step == step ? early : nil
    self.early = nil
    var sums: GradientSums = [:]
    for tier in state.scheduler.activeTiers(at: step) {
      let isWhole = try early?.withTotal(tier: tier, of: results) { total in
        try layout.split(tier: tier, total, into: &sums)
      }
      guard isWhole == true else {
        throw TrainingError("the gradients of tier \(tier) that came for step \(step) do not make up its sum")
      }
    }
    return sums
  }

  private func parametersDigest() -> String {
    let lines = zip(state.optimizer.updateCounts, digests).enumerated().map { tier, state in
      "\(tier) \(state.0) \(state.1)\n"
    }
    let copies = copyStates().map { "copy \($0.level) \($0.version) \($0.digest)\n" }
    return Digest.sha256((lines + copies).joined())
  }
}

extension ResultMessage {
  /// The gradient of one tier, in the layout of WELCOME.
  func values(tier: Int, microBatch: Int?) throws -> [Float] {
    try gradient(tier: tier, microBatch: microBatch).values.floats()
  }

  /// - Throws: `TrainingError` if it is not there.
  func gradient(tier: Int, microBatch: Int?) throws -> TierGradient {
    guard let gradient = gradients.first(where: { $0.tier == tier && $0.microBatch == microBatch }) else {
      throw TrainingError(
        "the result of attempt \(attempt) lacks the gradient \(TierGradient.name(tier: tier, microBatch: microBatch))"
      )
    }
    return gradient
  }
}
