/// Sums in a fixed order. A sum of floats depends on the order of its terms, so all sums over micro-batches
/// follow one binary tree: each node is the sum of its left child and its right child, and a node whose right
/// child is empty is its left child. Whoever computes a node gets its bits.
public enum ReductionTree {
  /// The nodes of a level that have leaves: what a step is cut into for workers.
  public static func nodes(level: Int, count: Int) -> [TreeNode] {
    guard count > 0, (0...TreeNode.maximumLevel).contains(level) else { return [] }
    return (0...((count - 1) >> level)).map { TreeNode(level: level, index: $0) }
  }

  /// The sum of the leaves under `node`, which must have some. Leaves are asked for in ascending order, and no
  /// more than `level + 1` sums are held at once.
  ///
  /// - Parameter add: adds the second element to the first.
  public static func reduce<Element>(
    _ node: TreeNode, count: Int, leaf: (Int) throws -> Element, add: (inout Element, Element) throws -> Void
  ) throws -> Element {
    let leaves = node.leaves(count: count)
    guard !leaves.isEmpty else { throw ReductionError.outside(node, count: count) }
    let node = node.canonical(count: count)
    if node.level == 0 { return try leaf(leaves.lowerBound) }
    var sum = try reduce(node.left, count: count, leaf: leaf, add: add)
    try add(&sum, reduce(node.right, count: count, leaf: leaf, add: add))
    return sum
  }

  /// The sum of all leaves, from values of the leaves; `leaves` must not be empty.
  public static func reduce<Element>(
    _ leaves: [Element], add: (inout Element, Element) throws -> Void
  ) throws -> Element {
    try reduce(.root(count: leaves.count), count: leaves.count, leaf: { leaves[$0] }, add: add)
  }

  /// The sum at `node` from the sums at nodes below it, which cover its leaves exactly once.
  ///
  /// - Throws: `ReductionError` if a leaf is covered by no part or by two.
  public static func combine<Element>(
    _ parts: [TreeNode: Element], into node: TreeNode, count: Int,
    add: (inout Element, Element) throws -> Void
  ) throws -> Element {
    var left: [TreeNode: Element] = [:]
    for (part, value) in parts {
      guard !part.leaves(count: count).isEmpty else { throw ReductionError.outside(part, count: count) }
      let node = part.canonical(count: count)
      guard left.updateValue(value, forKey: node) == nil else { throw ReductionError.twice(node) }
    }
    let sum = try take(node, count: count, from: &left, add: add)
    if let other = left.keys.min() { throw ReductionError.twice(other) }
    return sum
  }

  private static func take<Element>(
    _ node: TreeNode, count: Int, from parts: inout [TreeNode: Element],
    add: (inout Element, Element) throws -> Void
  ) throws -> Element {
    guard !node.leaves(count: count).isEmpty else { throw ReductionError.outside(node, count: count) }
    let node = node.canonical(count: count)
    if let part = parts.removeValue(forKey: node) { return part }
    guard node.level > 0 else { throw ReductionError.missing(node) }
    var sum = try take(node.left, count: count, from: &parts, add: add)
    try add(&sum, take(node.right, count: count, from: &parts, add: add))
    return sum
  }
}

/// Why sums do not make up a tree.
public enum ReductionError: Error, Sendable, Equatable, CustomStringConvertible {
  case missing(TreeNode)
  /// Leaves of this node would be added twice, or do not belong to what is summed.
  case twice(TreeNode)
  case outside(TreeNode, count: Int)

  public var description: String {
    switch self {
    case .missing(let node): "the gradients of micro-batch \(node.index) are missing"
    case .twice(let node):
      "the gradients at level \(node.level), index \(node.index) are covered by another part, or not asked for"
    case .outside(let node, let count):
      "there is no node at level \(node.level), index \(node.index) over \(count) micro-batches"
    }
  }
}
