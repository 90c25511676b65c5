import Coordination
import NestedLearning
import WireProtocol

/// The sums of one step's gradients, made while others are still awaited: two children of a node of the fixed tree are
/// added as soon as both are here, whichever came first. So when the last result comes, a few additions are left of
/// many, and the bits are those of adding everything at the end.
struct EagerReduction {
  private enum Part {
    case message(ResultMessage)
    case sum([Float])
  }

  let step: Int
  /// Micro-batches of the step.
  private let count: Int
  private var attempts = Set<Int>()
  /// By tier, the sums whose siblings have not come.
  private var parts: [Int: [TreeNode: Part]] = [:]
  /// False after two results for one shard, of which the step will count one; nobody knows yet which.
  private var isClear = true

  init(step: Int, count: Int) {
    self.step = step
    self.count = count
  }

  mutating func take(_ message: ResultMessage, of shard: Shard) {
    guard isClear else { return }
    attempts.insert(message.attempt)
    for tier in shard.tiers {
      do { try add(.message(message), at: shard.node, tier: tier) } catch {
        // Whatever is wrong is named when the step is applied, if this result counts at all.
        isClear = false
        parts = [:]
        return
      }
    }
  }

  /// The sum over all micro-batches; nil if these are not the results that it was made of.
  func total(tier: Int, of results: [UnitResult]) -> [Float]? {
    guard isClear, attempts == Set(results.map(\.message.attempt)), let parts = parts[tier], parts.count == 1,
      case .sum(let total) = parts[root]
    else { return nil }
    return total
  }

  private var root: TreeNode { TreeNode.root(count: count).canonical(count: count) }

  private mutating func add(_ part: Part, at node: TreeNode, tier: Int) throws {
    var (part, node) = (part, node.canonical(count: count))
    while node != root {
      let family = siblings(of: node)
      let other = family.left == node ? family.right : family.left
      guard let sibling = parts[tier, default: [:]].removeValue(forKey: other) else { break }
      let (left, right) = family.left == node ? (part, sibling) : (sibling, part)
      part = .sum(try sum(left, right, tier: tier))
      node = family.parent
    }
    guard parts[tier, default: [:]].updateValue(part, forKey: node) == nil else {
      throw ReductionError.twice(node)
    }
  }

  /// The two nodes that are added to make up the next one above a node, which is one of them.
  private func siblings(of node: TreeNode) -> (left: TreeNode, right: TreeNode, parent: TreeNode) {
    var parent = node.parent
    // A node whose right child is empty is its left child.
    while parent.right.leaves(count: count).isEmpty { parent = parent.parent }
    return (parent.left.canonical(count: count), parent.right.canonical(count: count), parent)
  }

  private func sum(_ left: Part, _ right: Part, tier: Int) throws -> [Float] {
    var sum =
      switch left {
      case .message(let message): try message.values(tier: tier, microBatch: nil)
      case .sum(let values): values
      }
    switch right {
    case .message(let message):
      try message.gradient(tier: tier, microBatch: nil).values.withFloats { Vectors.add($0, to: &sum) }
    case .sum(let values): Vectors.add(values, to: &sum)
    }
    return sum
  }
}
