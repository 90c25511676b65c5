import NestedLearning
import Protocol
import Service

/// A shard of the toy problem, put together as a worker does.
enum ToyShard {
  /// - Throws: if the parameters are not those that the assignment asks for.
  static func compute(
    _ message: AssignMessage, _ parameters: ToyParameters, seconds: Double
  ) throws -> ResultMessage {
    guard parameters.versions == message.parameterVersions else {
      throw ServiceError(
        "versions \(parameters.versions) are here, \(message.parameterVersions) are asked for")
    }
    let node = TreeNode(level: message.level, index: message.index)
    let first = node.leaves(count: message.leafCount).lowerBound
    var windows: [TierGradient] = []
    let sum = try ReductionTree.reduce(
      node, count: message.leafCount,
      leaf: { g in
        let leaf = ToyProblem.leaf(
          message.microBatches[g - first], step: message.step, tiers: message.tiers, parameters: parameters)
        guard message.window else { return leaf }
        windows += leaf.gradients.map { tier, values in
          TierGradient(
            tier: tier, microBatch: g,
            floats: GradientWindow.scaled(values, trainedTokens: message.stepTokens))
        }
        return (leaf.loss, [:])
      },
      add: { sum, other in
        sum.loss += other.loss
        for (tier, values) in other.gradients { Vectors.add(values, to: &sum.gradients[tier, default: []]) }
      })
    let results =
      message.window ? windows : sum.gradients.map { TierGradient(tier: $0.key, floats: $0.value) }
    let gradients = results.sorted { ($0.tier, $0.microBatch ?? 0) < ($1.tier, $1.microBatch ?? 0) }
    return ResultMessage(
      attempt: message.attempt, lossSum: sum.loss,
      tokens: message.microBatches.reduce(0) { $0 + $1.trainedTokens }, seconds: seconds,
      gradients: message.digestOnly ? [] : gradients,
      digests: message.digestOnly ? gradients.map(GradientDigest.init) : [])
  }
}
