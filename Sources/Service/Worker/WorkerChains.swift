import Coordination
import Digests
import NestedLearning
import Training
import WireProtocol

/// The chains of windows that a worker keeps in one session: sums of its own gradients, in step order, from which it
/// goes on until the boundary. Whatever is asked of them is checked against step and digest first.
package struct WorkerChains {
  private struct PartialSum {
    let first: Int
    var last: Int
    var values: [Float]
    var sha256: String

    /// In place; the digest is then to be computed.
    mutating func add(_ gradient: [Float], step: Int, _ tamper: (inout [Float]) -> Bool) {
      Vectors.add(gradient, to: &values)
      _ = tamper(&values)
      last = step
    }
  }

  private var chains: [WindowKey: PartialSum] = [:]
  /// A fault that is made on purpose: changes a chain that has gone on by a step, and says whether it did.
  package var tamper: (inout [Float]) -> Bool = { _ in false }
  /// How many compute digests.
  package var threads = 1

  /// What a step made of the chains.
  package struct Outcome {
    package var gradients: [TierGradient] = []
    package var chains: [WindowChain] = []
    package var reports: [WindowReport] = []

    package init() {}
  }

  package init() {}

  package mutating func removeAll() { chains = [:] }

  /// Takes chains over from the coordinator.
  ///
  /// - Throws: `ServiceError` if one has not as many values as its tier.
  package mutating func take(_ message: WindowMessage, layout: TierLayout) throws {
    for (chain, first) in zip(message.chains, message.firsts) {
      let values = try chain.values.floats()
      guard layout.tiers.indices.contains(chain.tier), values.count == layout.count(tier: chain.tier) else {
        throw ServiceError("the chain \(chain.values.name) does not have the values of its tier")
      }
      chains[WindowKey(tier: chain.tier, microBatch: chain.microBatch)] = PartialSum(
        first: first, last: message.step, values: values, sha256: chain.values.sha256)
    }
  }

  /// Whether the orders of a shard can be followed: before anything is computed or changed.
  ///
  /// - Throws: `ServiceError` that names the first chain that is not as it should be.
  package func check(_ message: AssignMessage) throws {
    for (key, order, _) in message.chainOrders {
      let chain = chains[key]
      switch order {
      case .separate, .start, .skip: continue
      case .proceed(let sha256):
        if let chain, chain.sha256 == sha256, message.purpose == .collect || chain.last == message.step - 1 {
          continue
        }
      case .given:
        if let chain, chain.last == message.step - 1 { continue }
      }
      let own = chain.map { "ends at step \($0.last)" } ?? "is not here"
      throw ServiceError(
        "the chain of tier \(key.tier), micro-batch \(key.microBatch) \(own), not as step \(message.step) needs it"
      )
    }
  }

  /// The answer to `collect`: chains as they are, of a shard of which nothing is computed.
  ///
  /// - Throws: `ServiceError` that names the first chain that is not as it should be.
  package func collect(_ message: AssignMessage) throws -> ResultMessage {
    try check(message)
    var outcome = Outcome()
    for (key, order, _) in message.chainOrders where order != .skip {
      guard let chain = chains[key] else { continue }
      outcome.chains.append(WindowChain(tier: key.tier, microBatch: key.microBatch, floats: chain.values))
      outcome.reports.append(
        WindowReport(
          tier: key.tier, microBatch: key.microBatch, first: chain.first, last: chain.last,
          chain: chain.sha256, gradient: nil))
    }
    return ResultMessage(
      attempt: message.attempt, lossSum: 0, tokens: 0, seconds: 0, gradients: [], chains: outcome.chains,
      windows: outcome.reports)
  }

  /// Does with a step's scaled gradients what the orders say.
  ///
  /// - Parameters:
  ///   - gradients: of every (tier, micro-batch) of the shard.
  ///   - look: is shown each chain that has gone on by the step, in the order of the orders.
  package mutating func add(
    _ gradients: [WindowKey: [Float]], _ message: AssignMessage,
    look: (WindowKey, [Float]) -> Void = { _, _ in }
  ) throws -> Outcome {
    try check(message)
    var outcome = Outcome()
    for order in message.windows {
      // A new window: what is left of the last one is of no use.
      if order.chains.contains(.start) {
        chains = chains.filter { $0.key.tier != order.tier || $0.value.last >= message.step }
      }
    }
    for taken in take(gradients, message) {
      let (key, order, returns) = taken.order
      outcome.reports.append(taken.report)
      if taken.report.chain != nil, let chain = chains[key] { look(key, chain.values) }
      if order == .separate {
        outcome.gradients.append(
          TierGradient(tier: key.tier, microBatch: key.microBatch, floats: gradients[key] ?? []))
      } else if returns == .copy, let chain = chains[key] {
        outcome.chains.append(WindowChain(tier: key.tier, microBatch: key.microBatch, floats: chain.values))
      }
    }
    for order in message.windows where order.returns == .sum {
      let node = TreeNode(level: message.level, index: message.index)
      let sum = try ReductionTree.reduce(
        node, count: message.leafCount,
        leaf: { chains[WindowKey(tier: order.tier, microBatch: $0)]?.values ?? [] },
        add: { Vectors.add($1, to: &$0) })
      outcome.gradients.append(TierGradient(tier: order.tier, floats: sum))
      // Of a window of one step nothing can be lost that is not computed at once again.
      for (key, chain, _) in message.chainOrders where key.tier == order.tier && chain == .start {
        chains[key] = nil
      }
    }
    return outcome
  }

  private typealias Order = (key: WindowKey, order: ChainOrder, returns: WindowOrder.Returns)

  /// Lets chains go on by a step's gradients. Digests take longer than sums: they are computed by all threads, which
  /// changes no bit of them.
  private mutating func take(
    _ gradients: [WindowKey: [Float]], _ message: AssignMessage
  ) -> [(order: Order, report: WindowReport)] {
    let orders = message.chainOrders.filter { gradients[$0.key] != nil }
    let digests = Digest.sha256(each: orders.map { gradients[$0.key] ?? [] }, threads: threads)
    var grown: [WindowKey] = []
    for ((key, order, _), digest) in zip(orders, digests) {
      guard let gradient = gradients[key] else { continue }
      switch order {
      case .start:
        var values = gradient
        if tamper(&values) { grown.append(key) }
        chains[key] = PartialSum(first: message.step, last: message.step, values: values, sha256: digest)
      case .proceed, .given:
        chains[key]?.add(gradient, step: message.step, tamper)
        grown.append(key)
      case .separate, .skip: break
      }
    }
    let sums = Digest.sha256(each: grown.map { chains[$0]?.values ?? [] }, threads: threads)
    for (key, digest) in zip(grown, sums) { chains[key]?.sha256 = digest }
    return zip(orders, digests).map { order, digest in
      let chain = [.separate, .skip].contains(order.order) ? nil : chains[order.key]
      let report = WindowReport(
        tier: order.key.tier, microBatch: order.key.microBatch, first: chain?.first ?? message.step,
        last: message.step, chain: chain?.sha256, gradient: digest)
      return (order, report)
    }
  }
}

extension AssignMessage {
  /// Every (tier, micro-batch) with its order, tier by tier.
  package var chainOrders: [(key: WindowKey, order: ChainOrder, returns: WindowOrder.Returns)] {
    let leaves = TreeNode(level: level, index: index).leaves(count: leafCount)
    return windows.flatMap { order in
      zip(leaves, order.chains).map {
        (WindowKey(tier: order.tier, microBatch: $0), $1, order.returns)
      }
    }
  }
}
