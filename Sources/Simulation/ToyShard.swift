import Coordination
import NestedLearning
import Service
import WireProtocol

/// A shard of the toy problem, put together as a worker does.
enum ToyShard {
  private typealias Leaf = (loss: Double, gradients: [Int: [Float]])

  /// - Parameters:
  ///   - chains: what the worker keeps of windows.
  ///   - lie: what it makes of its first micro-batch.
  /// - Throws: if a chain is not as the assignment needs it.
  static func compute(
    _ message: AssignMessage, _ parameters: ToyParameters, chains: inout WorkerChains, lie: Lie? = nil,
    seconds: Double
  ) throws -> ResultMessage {
    if message.purpose == .collect { return try chains.collect(message) }
    try chains.check(message)
    if let lie, lie.kind == .chain { chains.tamper = { lie.tamper(with: &$0) } }
    defer { chains.tamper = { _ in false } }
    let node = TreeNode(level: message.level, index: message.index)
    let first = node.leaves(count: message.leafCount).lowerBound
    var scaled: [WindowKey: [Float]] = [:]
    let sum = try ReductionTree.reduce(
      node, count: message.leafCount,
      leaf: { g -> Leaf in
        var leaf = ToyProblem.leaf(
          message.microBatches[g - first], step: message.step, tiers: message.tiers, parameters: parameters)
        if g == first { lie?.tell(&leaf.loss, &leaf.gradients, tier: message.tiers.first) }
        guard message.window else { return leaf }
        for (tier, values) in leaf.gradients {
          scaled[WindowKey(tier: tier, microBatch: g)] = GradientWindow.scaled(
            values, trainedTokens: message.stepTokens)
        }
        return (leaf.loss, [:])
      },
      add: { sum, other in
        sum.loss += other.loss
        for (tier, values) in other.gradients { Vectors.add(values, to: &sum.gradients[tier, default: []]) }
      })
    var outcome = WorkerChains.Outcome()
    if !message.windows.isEmpty {
      outcome = try chains.add(scaled, message)
    } else if message.window {
      outcome.gradients = scaled.map { TierGradient(tier: $0.tier, microBatch: $0.microBatch, floats: $1) }
    } else {
      outcome.gradients = sum.gradients.map { TierGradient(tier: $0.key, floats: $0.value) }
    }
    let gradients = outcome.gradients.sorted {
      ($0.tier, $0.microBatch ?? 0) < ($1.tier, $1.microBatch ?? 0)
    }
    var result = ResultMessage(
      attempt: message.attempt, lossSum: sum.loss,
      tokens: message.microBatches.reduce(0) { $0 + $1.trainedTokens }, seconds: seconds,
      gradients: message.digestOnly ? [] : gradients,
      digests: message.digestOnly ? gradients.map(GradientDigest.init) : [], chains: outcome.chains,
      windows: outcome.reports)
    if message.accuracy {
      result.correct = message.microBatches.reduce(0) { $0 + ToyProblem.correct($1, parameters) }
    }
    return result
  }
}
