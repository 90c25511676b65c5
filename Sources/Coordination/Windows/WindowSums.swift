import NestedLearning

/// The coordinator's own part of the windows: for each (tier, micro-batch) the chain as far as it is here, gradients of
/// single steps that wait for the chain to reach them, and at a boundary the sums that workers have made of theirs.
///
/// A chain is strictly in step order: a gradient is added to a chain that ends one step before it, or is the first of
/// its window, or waits.
public struct WindowSums<Sum: Sendable>: Sendable {
  private struct PartialSum: Sendable {
    var through: Int
    var sum: Sum
  }

  /// May be replaced by that of a plan that begins, which says the same of windows that are open.
  public var clock: WindowClock
  public let microBatchCount: Int
  /// Adds the second to the first.
  private let add: @Sendable (inout Sum, Sum) -> Void
  private var chains: [WindowKey: PartialSum] = [:]
  private var waiting: [WindowKey: [Int: Sum]] = [:]
  /// By tier: the step, and sums at nodes of the tree.
  private var nodes: [Int: (step: Int, sums: [TreeNode: Sum])] = [:]

  public init(
    clock: WindowClock, microBatchCount: Int, add: @escaping @Sendable (inout Sum, Sum) -> Void
  ) {
    self.clock = clock
    self.microBatchCount = microBatchCount
    self.add = add
  }

  /// The scaled gradient of one step.
  public mutating func take(_ gradient: Sum, of key: WindowKey, step: Int) {
    forgetWindow(of: key, before: clock.start(tier: key.tier, step: step))
    guard step > chains[key]?.through ?? 0 else { return }
    waiting[key, default: [:]][step] = gradient
    fold(key)
  }

  /// A chain as a worker has it, through `step`.
  public mutating func take(chain sum: Sum, of key: WindowKey, through step: Int) {
    forgetWindow(of: key, before: clock.start(tier: key.tier, step: step))
    guard step > chains[key]?.through ?? 0 else { return }
    chains[key] = PartialSum(through: step, sum: sum)
    waiting[key] = waiting[key]?.filter { $0.key > step }
    fold(key)
  }

  /// The sum over a node's chains at the boundary `step`.
  public mutating func take(sum: Sum, at node: TreeNode, tier: Int, step: Int) {
    if nodes[tier]?.step != step { nodes[tier] = (step, [:]) }
    nodes[tier]?.sums[node] = sum
  }

  /// What belongs to a window that is over goes.
  private mutating func forgetWindow(of key: WindowKey, before first: Int) {
    if let chain = chains[key], chain.through < first { chains[key] = nil }
    if let steps = waiting[key], steps.keys.contains(where: { $0 < first }) {
      waiting[key] = steps.filter { $0.key >= first }
    }
  }

  private mutating func fold(_ key: WindowKey) {
    while let next = waiting[key]?.keys.min() {
      let first = clock.start(tier: key.tier, step: next)
      let through = chains[key]?.through ?? first - 1
      guard next == through + 1, let gradient = waiting[key]?.removeValue(forKey: next) else { break }
      // Taken out while it is added to, so that the sum is not copied.
      if var chain = chains.removeValue(forKey: key) {
        add(&chain.sum, gradient)
        chain.through = next
        chains[key] = chain
      } else {
        chains[key] = PartialSum(through: next, sum: gradient)
      }
    }
    if waiting[key]?.isEmpty == true { waiting[key] = nil }
  }

  /// The chain through exactly this step; nil if it is not here.
  public func chain(of key: WindowKey, through step: Int) -> Sum? {
    guard let chain = chains[key], chain.through == step else { return nil }
    return chain.sum
  }

  /// The sum of a tier's window that ends at the boundary `step`: the fixed tree over its chains, with sums of nodes
  /// where workers have made them.
  ///
  /// - Throws: `ReductionError` if a micro-batch is missing, or is there twice.
  public func total(tier: Int, boundary step: Int) throws -> Sum {
    var parts = nodes[tier].flatMap { $0.step == step ? $0.sums : nil } ?? [:]
    var summed = Set<Int>()
    for node in parts.keys { summed.formUnion(node.leaves(count: microBatchCount)) }
    for microBatch in 0..<microBatchCount where !summed.contains(microBatch) {
      let key = WindowKey(tier: tier, microBatch: microBatch)
      if let chain = chain(of: key, through: step) {
        parts[TreeNode(level: 0, index: microBatch)] = chain
      }
    }
    return try ReductionTree.combine(
      parts, into: .root(count: microBatchCount), count: microBatchCount, add: { add(&$0, $1) })
  }

  /// Drops what steps up to the boundary `step` have left of a tier.
  public mutating func close(tier: Int, boundary step: Int) {
    nodes[tier] = nil
    for microBatch in 0..<microBatchCount {
      forgetWindow(of: WindowKey(tier: tier, microBatch: microBatch), before: step + 1)
    }
  }
}
