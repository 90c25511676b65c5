import Coordination
import NestedLearning
import Service
import WireProtocol

/// Which of the chains that a worker keeps are not what its gradients add up to. A wrong one does no harm before it is
/// sent, which may be much later, and under another hand-out than the one in which it was made: so a lie is looked for
/// where bytes leave the worker.
struct WrongChains {
  private var keys = Set<WindowKey>()

  /// What the coordinator has takes the place of the worker's own.
  mutating func take(_ window: WindowMessage) {
    for chain in window.chains { keys.remove(WindowKey(tier: chain.tier, microBatch: chain.microBatch)) }
  }

  /// A shard is computed.
  ///
  /// - Parameter lie: what was made of it.
  /// - Returns: whether the result says or brings something wrong.
  mutating func computed(_ assign: AssignMessage, lie: Lie?) -> Bool {
    var isWrong = lie.map { $0.kind != .chain } ?? false
    for (key, order, returns) in assign.chainOrders {
      switch order {
      case .start, .given: keys.remove(key)
      case .separate, .skip: continue
      case .proceed: break
      }
      if let lie, lie.changesChain(of: key, in: assign) { keys.insert(key) }
      if returns != .none, keys.contains(key) { isWrong = true }
    }
    return isWrong
  }
}

extension Lie {
  /// A wrong chain is wrong in all that a shard goes on with; a wrong gradient is that of its first micro-batch and tier.
  fileprivate func changesChain(of key: WindowKey, in assign: AssignMessage) -> Bool {
    switch kind {
    case .chain: true
    case .loss: false
    case .gradient, .notFinite:
      key.tier == assign.tiers.first
        && key.microBatch
          == TreeNode(level: assign.level, index: assign.index)
          .leaves(count: assign.leafCount).first
    }
  }
}
