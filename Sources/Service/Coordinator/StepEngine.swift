import Coordination
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
  /// Mean loss over the trained tokens; nil if it was not computed.
  package let loss: Double?
  package let tokens: Int
  package let outcome: StepOutcome
  package let updateCounts: [Int]
  /// The tiers that were updated.
  package let changed: [TierValues]
  /// Over the digests of all tiers' parameters: what a replayed step must give again.
  package let digest: String
}

/// The state of training, and the arithmetic of a step on it: the sums of the workers' gradients by the fixed tree,
/// division, clipping, update. Belongs to the queue that the coordinator runs steps on.
package final class StepEngine: @unchecked Sendable {
  package private(set) var state: NestedTrainerState
  private let layout: TierLayout
  private var digests: [String]
  /// Whether any update has changed anything; a run that was resumed has passed that test before.
  private var hasChanged: Bool
  /// The windows' sums, as far as they are here; nil if gradients of inactive tiers are discarded.
  private var windows: WindowStore?
  /// What has come of the step in hand, without windows.
  private var early: EagerReduction?

  package init(state: NestedTrainerState) {
    self.state = state
    hasChanged = state.step > 0
    layout = TierLayout(scheduler: state.scheduler, shapes: state.shapes)
    digests = state.scheduler.tiers.map { StateDigest.of(state.parameterTensors(tier: $0.index)) }
    windows = WindowStore(state: state, layout: layout)
  }

  /// Takes what workers sent of windows: gradients of single steps, chains, sums over chains.
  ///
  /// - Parameter step: the one that they were computed for.
  /// - Throws: `TrainerError.notFinite`, or `ServiceError` if something has another size than its tier.
  package func keep(_ results: [ResultMessage], of nodes: [TreeNode], step: Int) throws {
    for (message, node) in zip(results, nodes) { try windows?.take(message, node: node, step: step) }
  }

  /// Adds up what a worker sent for a step while others are still awaited.
  package func collect(_ message: ResultMessage, of shard: Shard, step: Int) {
    if early?.step != step {
      early = EagerReduction(step: step, count: state.config.gradientAccumulationSteps)
    }
    early?.take(message, of: shard)
  }

  /// A chain that is here through exactly this step, for a worker that goes on from it.
  package func chain(of key: WindowKey, through step: Int) -> [Float]? {
    windows?.chain(of: key, through: step)
  }

  /// Everything that the run needs to go on after its last step, the windows' chains included.
  ///
  /// - Throws: `ServiceError` if a chain is not here.
  package func snapshot() throws -> TrainerSnapshot {
    if let windows, state.step > 0 { try state.setWindow(windows.chains(after: state.step)) }
    return state.snapshot()
  }

  /// All tiers as they are.
  package func tierValues() -> [TierValues] { state.scheduler.tiers.map { values(tier: $0.index) } }

  private func values(tier: Int) -> TierValues {
    TierValues(
      tier: tier, version: state.optimizer.updateCounts[tier], digest: digests[tier],
      values: WireObject(
        name: ParametersMessage.objectName,
        sharing: layout.joined(tier: tier) { state.parameters[$0] ?? [] }))
  }

  /// Applies a step at which no tier is due, and of which nothing was computed.
  package func skip(step: Int) throws -> AppliedStep {
    let outcome = try state.skip(step: step)
    return AppliedStep(
      step: step, loss: nil, tokens: 0, outcome: outcome, updateCounts: state.optimizer.updateCounts,
      changed: [],
      digest: parametersDigest())
  }

  /// Applies a step.
  ///
  /// - Parameter results: every (node, tiers) of the step once, with what its worker sent; with windows, what has been
  ///   kept counts instead.
  /// - Throws: if gradients are missing or not finite, or if the first update with a rate above 0 changes
  ///   nothing.
  package func apply(
    step: Int, lossSum: Double, tokens: Int, results: [UnitResult]
  ) throws -> AppliedStep {
    let active = state.scheduler.activeTiers(at: step)
    let gradients =
      try windows.map { .windowTotals(try $0.totals(tiers: active, boundary: step)) }
      ?? sums(step, results)
    let outcome = try state.apply(step: step, trainedTokens: tokens, gradients: gradients)
    for tier in active { windows?.close(tier: tier, boundary: step) }
    hasChanged = hasChanged || outcome.changedParameters
    if !hasChanged && outcome.isWithoutEffect {
      throw ServiceError(
        "step \(step) was to update tiers \(outcome.activeTiers), and not one parameter changed",
        remedy:
          "every gradient is zero: check that the base model is a trained one and that the data have labels")
    }
    for tier in outcome.activeTiers { digests[tier] = StateDigest.of(state.parameterTensors(tier: tier)) }
    return AppliedStep(
      step: step, loss: lossSum / Double(tokens), tokens: tokens, outcome: outcome,
      updateCounts: state.optimizer.updateCounts, changed: outcome.activeTiers.map(values),
      digest: parametersDigest())
  }

  /// The root of the fixed tree for every active tier.
  private func sums(_ step: Int, _ results: [UnitResult]) throws -> StepGradients {
    let count = state.config.gradientAccumulationSteps
    let early = early?.step == step ? early : nil
    self.early = nil
    var sums: GradientSums = [:]
    for tier in state.scheduler.activeTiers(at: step) {
      if let total = early?.total(tier: tier, of: results) {
        try layout.split(tier: tier, total, into: &sums)
        continue
      }
      var parts: [TreeNode: [Float]] = [:]
      for result in results where result.shard.tiers.contains(tier) {
        parts[result.shard.node] = try result.message.values(tier: tier, microBatch: nil)
      }
      let total = try ReductionTree.combine(
        parts, into: .root(count: count), count: count, add: { Vectors.add($1, to: &$0) })
      try layout.split(tier: tier, total, into: &sums)
    }
    return .sums(sums)
  }

  private func parametersDigest() -> String {
    let lines = zip(state.optimizer.updateCounts, digests).enumerated().map { tier, state in
      "\(tier) \(state.0) \(state.1)\n"
    }
    return Digest.sha256(lines.joined())
  }
}

extension ResultMessage {
  /// The gradient of one tier, in the layout of WELCOME.
  func values(tier: Int, microBatch: Int?) throws -> [Float] {
    try gradient(tier: tier, microBatch: microBatch).values.floats()
  }

  /// - Throws: `ServiceError` if it is not there.
  func gradient(tier: Int, microBatch: Int?) throws -> TierGradient {
    guard let gradient = gradients.first(where: { $0.tier == tier && $0.microBatch == microBatch }) else {
      throw ServiceError(
        "the result of attempt \(attempt) lacks the gradient \(TierGradient.name(tier: tier, microBatch: microBatch))"
      )
    }
    return gradient
  }
}
