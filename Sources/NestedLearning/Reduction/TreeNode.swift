/// A node of the fixed binary tree over the micro-batches 0 ..< G of a step: node (j, i) covers the leaves
/// [i·2^j, (i+1)·2^j) ∩ [0, G).
public struct TreeNode: Sendable, Hashable, Comparable {
  /// j: 0 for a leaf.
  public let level: Int
  /// i: from 0 along the level.
  public let index: Int

  /// Levels above this one cover more leaves than there can be.
  static let maximumLevel = 40

  public init(level: Int, index: Int) {
    self.level = level
    self.index = index
  }

  /// The node over all of `count` leaves.
  public static func root(count: Int) -> TreeNode {
    var level = 0
    while level < maximumLevel, 1 << level < count { level += 1 }
    return TreeNode(level: level, index: 0)
  }

  /// The micro-batches under this node; none for a node outside the tree, such as a message may name.
  public func leaves(count: Int) -> Range<Int> {
    guard (0...Self.maximumLevel).contains(level), index >= 0, index <= count >> level else { return 0..<0 }
    let start = index << level
    guard start < count else { return 0..<0 }
    return start..<min(start + 1 << level, count)
  }

  /// The lowest node that covers exactly these of `count` micro-batches; nil if none does.
  public init?(covering leaves: Range<Int>, count: Int) {
    guard !leaves.isEmpty, leaves.lowerBound >= 0, leaves.upperBound <= count else { return nil }
    var level = 0
    while level < Self.maximumLevel, 1 << level < leaves.count { level += 1 }
    self.init(level: level, index: leaves.lowerBound >> level)
    guard self.leaves(count: count) == leaves else { return nil }
  }

  public var left: TreeNode { TreeNode(level: level - 1, index: index * 2) }
  public var right: TreeNode { TreeNode(level: level - 1, index: index * 2 + 1) }
  public var parent: TreeNode { TreeNode(level: level + 1, index: index >> 1) }

  /// The lowest node that is this one: a node whose right child is empty is its left child. For a node of the
  /// tree over `count` leaves.
  public func canonical(count: Int) -> TreeNode {
    var node = self
    while node.level > 0, node.right.leaves(count: count).isEmpty { node = node.left }
    return node
  }

  /// The two nodes that are added to make up the next one above this, which is one of them, in the tree over `count`
  /// leaves. For a canonical node below the root.
  public func family(count: Int) -> (left: TreeNode, right: TreeNode, parent: TreeNode) {
    var above = parent
    // A node whose right child is empty is its left child.
    while above.right.leaves(count: count).isEmpty, above.level < Self.maximumLevel { above = above.parent }
    return (above.left.canonical(count: count), above.right.canonical(count: count), above)
  }

  /// From the root down, and along each level.
  public static func < (a: TreeNode, b: TreeNode) -> Bool {
    a.level == b.level ? a.index < b.index : a.level > b.level
  }
}
