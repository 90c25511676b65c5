import Coordination
import Harness
import NestedLearning
import Testing
import WireProtocol

@testable import Training

/// Sums that are made while results come. The reference is `ReductionTree.combine` over all of them at the end; bits
/// are compared.
@Suite struct EagerReductionTests {
  static let tiers = [0, 2]

  /// A cut of the tree into nodes of any levels, each with its own attempt and numbers whose sums round.
  static func results(count: Int, _ random: inout SplitMix64) -> [UnitResult] {
    var open = [TreeNode.root(count: count)]
    var results: [UnitResult] = []
    while let node = open.popLast() {
      if node.leaves(count: count).isEmpty { continue }
      if node.level > 0 && Int.random(in: 0..<4, using: &random) > 0 {
        open += [node.left, node.right]
      } else {
        results.append(result(node, attempt: results.count + 1, &random))
      }
    }
    return results
  }

  static func result(_ node: TreeNode, attempt: Int, _ random: inout SplitMix64) -> UnitResult {
    let gradients = tiers.map { tier in
      TierGradient(tier: tier, floats: (0..<5).map { _ in Float.random(in: -1...1, using: &random) })
    }
    let message = ResultMessage(attempt: attempt, lossSum: 1, tokens: 1, seconds: 0, gradients: gradients)
    return UnitResult(shard: Shard(node: node, tiers: tiers), step: 7, message: message)
  }

  static func combined(_ results: [UnitResult], tier: Int, count: Int) throws -> [Float] {
    var parts: [TreeNode: [Float]] = [:]
    for result in results {
      parts[result.shard.node] = try result.message.values(tier: tier, microBatch: nil)
    }
    return try ReductionTree.combine(
      parts, into: .root(count: count), count: count, add: { Vectors.add($1, to: &$0) })
  }

  /// Any number of micro-batches, any cut, any order of arrival.
  @Test func orderOfArrivalChangesNoBit() throws {
    var random = WindowStoreTests.random()
    for count in 2...40 {
      let results = Self.results(count: count, &random).shuffled(using: &random)
      var early = EagerReduction(step: 7, count: count)
      for result in results { early.take(result.message, of: result.shard) }
      for tier in Self.tiers {
        let expected = try Self.combined(results, tier: tier, count: count)
        // One result for all micro-batches leaves nothing to add.
        let total = early.total(tier: tier, of: results) ?? (results.count == 1 ? expected : [])
        #expect(total.map(\.bitPattern) == expected.map(\.bitPattern), "\(count), \(results.map(\.shard))")
      }
    }
  }

  /// Of two results for one shard, or if another counts than came, nothing is taken: the step adds up what counts.
  @Test func whatIsNotCertainIsNotUsed() {
    var random = WindowStoreTests.random()
    let results = Self.results(count: 16, &random)
    var early = EagerReduction(step: 7, count: 16)
    for result in results { early.take(result.message, of: result.shard) }
    let other = Self.result(results[0].shard.node, attempt: 99, &random)
    #expect(early.total(tier: 0, of: [other] + results.dropFirst()) == nil)
    #expect(early.total(tier: 0, of: results.dropLast()) == nil)
    #expect(early.total(tier: 1, of: results) == nil)
    early.take(other.message, of: other.shard)
    #expect(early.total(tier: 0, of: results) == nil)
    #expect(early.total(tier: 0, of: results + [other]) == nil)
  }
}
