import Randomness
import Testing

@testable import NestedLearning

/// A sum that knows its own shape: two sums are equal if they were added in the same order.
private indirect enum Sum: Equatable {
  case leaf(Int)
  case add(Sum, Sum)

  static func combine(_ a: inout Sum, _ b: Sum) { a = .add(a, b) }

  /// The definition: node (j, i) is the sum of (j − 1, 2i) and (j − 1, 2i + 1), or the one that has leaves.
  static func defined(_ level: Int, _ index: Int, _ count: Int) -> Sum? {
    guard index << level < count else { return nil }
    if level == 0 { return .leaf(index) }
    let left = defined(level - 1, index * 2, count)
    guard let right = defined(level - 1, index * 2 + 1, count) else { return left }
    return left.map { .add($0, right) }
  }
}

@Suite struct ReductionTreeTests {
  @Test(arguments: 1...40)
  func everyNodeIsAddedInTheDefinedOrder(count: Int) throws {
    #expect(TreeNode.root(count: count).leaves(count: count) == 0..<count)
    for level in 0...7 {
      for node in ReductionTree.nodes(level: level, count: count) {
        let sum = try ReductionTree.reduce(node, count: count, leaf: Sum.leaf, add: Sum.combine)
        #expect(sum == Sum.defined(level, node.index, count))
      }
    }
  }

  @Test(arguments: 1...40)
  func theNodesOfALevelCoverEveryLeafOnce(count: Int) {
    for level in 0...7 {
      let leaves = ReductionTree.nodes(level: level, count: count).map { $0.leaves(count: count) }
      #expect(leaves.flatMap(Array.init) == Array(0..<count))
      #expect(leaves.allSatisfy { !$0.isEmpty && $0.lowerBound % (1 << level) == 0 })
    }
  }

  /// However the leaves are cut into shards, the shards' sums give the root.
  @Test(arguments: 1...40)
  func shardsGiveTheRoot(count: Int) throws {
    let root = TreeNode.root(count: count)
    let whole = try ReductionTree.reduce(Array(0..<count).map(Sum.leaf), add: Sum.combine)
    var cuts = (0...7).map { ReductionTree.nodes(level: $0, count: count) }
    var random = CounterRandom(seed: UInt64(count), purpose: .rowOrder)
    for _ in 0..<20 { cuts.append(randomCut(root, count, &random)) }
    for cut in cuts {
      var parts: [TreeNode: Sum] = [:]
      for node in cut {
        parts[node] = try ReductionTree.reduce(node, count: count, leaf: Sum.leaf, add: Sum.combine)
      }
      #expect(try ReductionTree.combine(parts, into: root, count: count, add: Sum.combine) == whole, "\(cut)")
    }
  }

  private func randomCut(_ node: TreeNode, _ count: Int, _ random: inout CounterRandom) -> [TreeNode] {
    guard !node.leaves(count: count).isEmpty else { return [] }
    if node.level == 0 || random.integer(below: 3) == 0 { return [node] }
    return randomCut(node.left, count, &random) + randomCut(node.right, count, &random)
  }

  /// The order matters: for these floats the tree's sum has other bits than the sum from left to right.
  @Test func floatsAreSummedAsTheTreeSays() throws {
    // From left to right each 1 is lost beside 2²⁴.
    let leaves: [[Float]] = [[0x1p24], [1], [1], [1], [1], [1], [1]]
    let sum = try ReductionTree.reduce(leaves) { Vectors.add($1, to: &$0) }[0]
    let x = leaves.map { $0[0] }
    #expect(sum == ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + x[6]))
    #expect(sum != x.reduce(0, +))
  }

  /// Not even zero is added: −0 + 0 would be +0.
  @Test func aLoneLeafIsTheSum() throws {
    let sum = try ReductionTree.reduce(
      TreeNode(level: 2, index: 1), count: 5, leaf: { _ in -0.0 }, add: { $0 += $1 })
    #expect(sum.sign == .minus)
  }

  @Test func partsThatDoNotCoverTheLeavesOnceAreRefused() {
    func combine(_ nodes: [(Int, Int)], count: Int = 5) -> ReductionError? {
      let parts = Dictionary(nodes.map { (TreeNode(level: $0, index: $1), 1) }, uniquingKeysWith: { $1 })
      do {
        _ = try ReductionTree.combine(parts, into: .root(count: count), count: count) { $0 += $1 }
        return nil
      } catch {
        return error as? ReductionError
      }
    }
    #expect(combine([(2, 0), (2, 1)]) == nil)
    #expect(combine([(1, 0), (1, 1), (0, 4)]) == nil)
    #expect(combine([(2, 0)]) == .missing(TreeNode(level: 0, index: 4)))
    #expect(combine([(1, 0), (0, 2), (2, 1)]) == .missing(TreeNode(level: 0, index: 3)))
    #expect(combine([(2, 0), (2, 1), (0, 1)]) == .twice(TreeNode(level: 0, index: 1)))
    // (2, 1) and (0, 4) are one node over five leaves.
    #expect(combine([(2, 0), (2, 1), (0, 4)]) == .twice(TreeNode(level: 0, index: 4)))
    #expect(combine([(3, 0), (0, 5)]) == .outside(TreeNode(level: 0, index: 5), count: 5))
  }

  /// Numbers as a broken message might hold them.
  @Test func nodesOutsideTheTreeHaveNoLeaves() {
    for (level, index) in [
      (-1, 0), (0, -1), (0, 5), (63, 1), (64, 0), (1000, 1000), (3, .max), (40, .max), (.min, .min),
    ] {
      #expect(TreeNode(level: level, index: index).leaves(count: 5).isEmpty)
    }
  }

  @Test func dictionariesOfGradientsAreAddedByName() throws {
    var sums: GradientSums = ["a": [1, 2], "b": [3]]
    try ReductionTree.add(["b": [10], "a": [0.5, 0.25]], to: &sums)
    #expect(sums == ["a": [1.5, 2.25], "b": [13]])
    for other in [["a": [1, 2]], ["a": [1, 2], "c": [3]], ["a": [1], "b": [3]]] as [GradientSums] {
      #expect(throws: GradientMismatch.self) { try ReductionTree.add(other, to: &sums) }
    }
    #expect(sums == ["a": [1.5, 2.25], "b": [13]])
  }
}

@Suite struct VectorTests {
  /// The reference is the sum in Double from left to right; lanes may only differ in its last bits.
  @Test(arguments: [0, 1, 63, 64, 65, 128, 1000])
  func squaresAreSummed(count: Int) {
    let values = (0..<count).map { Float(($0 * 37) % 101 - 50) / 7 }
    let expected = values.reduce(0.0) { $0 + Double($1) * Double($1) }
    #expect(abs(Vectors.sumOfSquares(values) - expected) <= expected * 1e-14)
  }

  @Test func anyElementCanSpoilAVector() {
    for i in 0..<67 {
      for value in [Float.nan, -.nan, .infinity, -.infinity, .signalingNaN] {
        var values = [Float](repeating: -.greatestFiniteMagnitude, count: 67)
        #expect(Vectors.isFinite(values))
        values[i] = value
        #expect(!Vectors.isFinite(values))
      }
    }
  }
}
