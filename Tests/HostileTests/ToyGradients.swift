import Coordination
import NestedLearning
import WireProtocol

@testable import Service

/// Shards of a problem of a few numbers, put together as a worker does, with the chains that workers keep.
enum ToyGradients {
  /// What a micro-batch's gradient of a tier is: another one for every step.
  static func gradient(step: Int, tier: Int, microBatch: Int, count: Int) -> [Float] {
    (0..<count).map { Float(step % 1000) + Float(tier) / 8 + Float(microBatch) / 64 + Float($0) / 512 }
  }

  /// - Parameter counts: values in each tier, as WELCOME says
  static func compute(
    _ message: AssignMessage, counts: [Int], chains: inout WorkerChains
  ) throws -> ResultMessage {
    if message.purpose == .collect { return try chains.collect(message) }
    guard message.tiers.allSatisfy({ counts.indices.contains($0) }) else {
      throw ServiceError("a tier that is not there")
    }
    try chains.check(message)
    var outcome = WorkerChains.Outcome()
    if message.purpose != .evaluate {
      var each: [WindowKey: [Float]] = [:]
      for batch in message.microBatches {
        for tier in message.tiers {
          each[WindowKey(tier: tier, microBatch: batch.number)] = gradient(
            step: message.step, tier: tier, microBatch: batch.number, count: counts[tier])
        }
      }
      if !message.windows.isEmpty {
        outcome = try chains.add(each, message)
      } else if message.window {
        outcome.gradients = each.map { TierGradient(tier: $0.tier, microBatch: $0.microBatch, floats: $1) }
      } else {
        for tier in message.tiers {
          let sum = try ReductionTree.reduce(
            TreeNode(level: message.level, index: message.index), count: message.leafCount,
            leaf: { each[WindowKey(tier: tier, microBatch: $0)] ?? [] }, add: { Vectors.add($1, to: &$0) })
          outcome.gradients.append(TierGradient(tier: tier, floats: sum))
        }
      }
    }
    let gradients = outcome.gradients.sorted { ($0.tier, $0.microBatch ?? 0) < ($1.tier, $1.microBatch ?? 0) }
    return ResultMessage(
      attempt: message.attempt, lossSum: Double(message.microBatches.reduce(0) { $0 + $1.number + 1 }),
      tokens: 2 * message.microBatches.count, seconds: 0.5, progress: 7,
      gradients: message.digestOnly ? [] : gradients,
      digests: message.digestOnly ? gradients.map(GradientDigest.init) : [], chains: outcome.chains,
      windows: outcome.reports)
  }
}
