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
      for result in results { try early.take(result.message, of: result.shard) }
      for tier in Self.tiers {
        let expected = try Self.combined(results, tier: tier, count: count)
        let total = try #require(try early.total(tier: tier, of: results))
        #expect(total.map(\.bitPattern) == expected.map(\.bitPattern), "\(count), \(results.map(\.shard))")
      }
    }
  }

  /// In ascending order there is never more than one sum for each level, and the result that has just come.
  @Test func ascendingOrderHoldsFew() throws {
    var random = WindowStoreTests.random()
    var early = EagerReduction(step: 7, count: 64)
    for leaf in 0..<64 {
      let result = Self.result(TreeNode(level: 0, index: leaf), attempt: leaf + 1, &random)
      try early.take(result.message, of: result.shard)
      #expect(early.heldCount == (leaf + 1).nonzeroBitCount)
    }
  }

  /// Sums are there for exactly the results that they were made of.
  @Test func othersHaveNoSum() throws {
    var random = WindowStoreTests.random()
    let results = Self.results(count: 16, &random)
    var early = EagerReduction(step: 7, count: 16)
    for result in results { try early.take(result.message, of: result.shard) }
    let other = Self.result(results[0].shard.node, attempt: 99, &random)
    #expect(try early.total(tier: 0, of: [other] + results.dropFirst()) == nil)
    #expect(try early.total(tier: 0, of: results.dropLast()) == nil)
    #expect(try early.total(tier: 1, of: results) == nil)
    // Another word on the same shard is put aside, and changes nothing.
    try early.take(other.message, of: other.shard)
    #expect(try early.total(tier: 0, of: results) != nil)
    try early.discard(99)
    #expect(try early.total(tier: 0, of: results) != nil)
  }

  /// What is dropped takes along what it was added to, and nothing else; another result for the same shard takes its
  /// place, and with those that come again the sums are those of what counts.
  @Test func droppedResultsComeAgain() throws {
    var random = WindowStoreTests.random()
    for count in 2...24 {
      var results = Self.results(count: count, &random).shuffled(using: &random)
      var early = EagerReduction(step: 7, count: count)
      for result in results { try early.take(result.message, of: result.shard) }
      // All of them are one sum by now.
      let wrong = results.removeLast()
      let right = Self.result(wrong.shard.node, attempt: 1000, &random)
      try early.take(right.message, of: right.shard)
      try early.discard(wrong.message.attempt)
      #expect(early.heldCount == 1)
      for result in results { try early.discard(result.message.attempt) }
      #expect(early.heldCount == 1)
      for result in results { try early.take(result.message, of: result.shard) }
      for tier in Self.tiers {
        let expected = try Self.combined(results + [right], tier: tier, count: count)
        let total = try #require(try early.total(tier: tier, of: results + [right]))
        #expect(total.map(\.bitPattern) == expected.map(\.bitPattern))
      }
    }
  }

  /// Shards that overlap are no tree.
  @Test func overlap() throws {
    var random = WindowStoreTests.random()
    var early = EagerReduction(step: 7, count: 4)
    let (whole, half) = (TreeNode(level: 2, index: 0), TreeNode(level: 1, index: 0))
    for (attempt, node) in [(1, whole), (2, half)] {
      let result = Self.result(node, attempt: attempt, &random)
      try early.take(result.message, of: result.shard)
    }
    let results = [Self.result(whole, attempt: 1, &random), Self.result(half, attempt: 2, &random)]
    #expect(try early.total(tier: 0, of: results) == nil)
  }
}

extension EagerReduction {
  fileprivate func total(tier: Int, of results: [UnitResult]) throws -> [Float]? {
    var total: [Float] = []
    return try withTotal(tier: tier, of: results) { total = Array($0) } ? total : nil
  }
}
