import NestedLearning
import WireProtocol

/// Who has what of each window. For every (tier, micro-batch) the chain of sums is here through some step; one worker,
/// its owner, may have it further; and gradients of single steps may be here that wait for the chain to reach them.
/// What is in neither is computed again.
///
/// The book has no bytes: `WindowSums` has those that are here, and takes the same results.
public struct WindowTracker: Sendable, Equatable {
  /// A worker's own chain.
  struct Holding: Sendable, Equatable {
    let worker: Int
    let through: Int
    let sha256: String
  }

  /// What a result said of one step of a chain that is not here yet.
  struct Entry: Sendable, Equatable {
    let worker: Int
    /// Whose worker it is, also when it is gone.
    let identity: String
    let gradient: String
  }

  struct PartialSum: Sendable, Equatable {
    let first: Int
    /// It is here through this step; first − 1: nothing is.
    var through: Int
    var held: Holding?
    /// Steps beyond `through` whose gradients are here.
    var pending = Set<Int>()
    /// By step beyond `through`: what a lost gradient has to be again.
    var entries: [Int: Entry] = [:]

    mutating func moveOn(to step: Int) {
      through = max(through, step)
      while pending.remove(through + 1) != nil { through += 1 }
      pending = pending.filter { $0 > through }
      entries = entries.filter { $0.key > through }
      if let held, held.through < through { self.held = nil }
    }
  }

  public private(set) var clock: WindowClock
  public let microBatchCount: Int
  /// Every gradient is to be checked by its bytes, so workers keep none.
  public let alwaysSeparate: Bool
  /// By tier, then micro-batch; those of windows that are over do not count.
  private var chains: [[PartialSum?]]

  /// The book after `step`, when all chains are here.
  public init(clock: WindowClock, microBatchCount: Int, step: Int = 0, alwaysSeparate: Bool = false) {
    self.clock = clock
    self.microBatchCount = microBatchCount
    self.alwaysSeparate = alwaysSeparate
    chains = (0..<clock.tierCount).map { tier in
      let first = clock.start(tier: tier, step: step + 1)
      let chain = first <= step ? PartialSum(first: first, through: step) : nil
      return Array(repeating: chain, count: microBatchCount)
    }
  }

  /// The chain of the window that `step` belongs to; nil if that has none yet.
  func chain(_ tier: Int, _ microBatch: Int, at step: Int) -> PartialSum? {
    guard chains.indices.contains(tier), chains[tier].indices.contains(microBatch),
      let chain = chains[tier][microBatch], chain.first == clock.start(tier: tier, step: step)
    else { return nil }
    return chain
  }

  private mutating func update(
    _ tier: Int, _ microBatch: Int, at step: Int, _ change: (inout PartialSum) -> Void
  ) {
    guard chains.indices.contains(tier), chains[tier].indices.contains(microBatch) else { return }
    let first = clock.start(tier: tier, step: step)
    var chain = self.chain(tier, microBatch, at: step) ?? PartialSum(first: first, through: first - 1)
    change(&chain)
    chains[tier][microBatch] = chain
  }

  /// Takes the clock of a plan that begins: up to the boundary from which on a tier goes by it, it says what the clock
  /// before said.
  mutating func follow(_ clock: WindowClock) { self.clock = clock }

  // MARK: - Orders

  /// What a worker is to do with its part of a step.
  ///
  /// - Parameters:
  ///   - isFlush: copies are wanted of what the worker keeps.
  ///   - mayHold: false for a worker that speaks an older version, and for a second opinion.
  public func orders(
    for shard: Shard, step: Int, isFlush: Bool, worker: Int, mayHold: Bool
  ) -> [WindowOrder] {
    let leaves = shard.node.leaves(count: microBatchCount)
    return shard.tiers.map { tier in
      let isBoundary = clock.isBoundary(tier: tier, step: step)
      let chains = leaves.map { microBatch -> ChainOrder in
        guard mayHold, !alwaysSeparate else { return .separate }
        if clock.start(tier: tier, step: step) == step { return .start }
        guard let chain = chain(tier, microBatch, at: step) else { return .separate }
        if let held = chain.held, held.worker == worker, held.through == step - 1 {
          return .proceed(sha256: held.sha256)
        }
        // Where bytes come back anyway, a single gradient is no more of them than a chain.
        return chain.through == step - 1 && !isBoundary && !isFlush ? .given : .separate
      }
      let returns: WindowOrder.Returns =
        isBoundary ? (chains.allSatisfy(\.keepsChain) ? .sum : .copy) : (isFlush ? .copy : .none)
      return WindowOrder(tier: tier, returns: returns, chains: chains)
    }
  }

  /// How many chains of a shard end at the step before with this worker.
  public func chainsHeld(of shard: Shard, step: Int, worker: Int) -> Int {
    var count = 0
    for tier in shard.tiers {
      for microBatch in shard.node.leaves(count: microBatchCount) {
        if let held = chain(tier, microBatch, at: step)?.held, held.worker == worker,
          held.through == step - 1
        {
          count += 1
        }
      }
    }
    return count
  }

  // MARK: - Results

  /// The result of these orders counts, and the bytes that it brought are here.
  ///
  /// - Parameter reports: what it said; empty for a worker that speaks an older version.
  public mutating func took(
    _ orders: [WindowOrder], node: TreeNode, step: Int, worker: Int, identity: String = "",
    reports: [WindowReport]
  ) {
    let said = reports.byKey
    for order in orders {
      for (microBatch, chainOrder) in zip(node.leaves(count: microBatchCount), order.chains) {
        let report = said[WindowKey(tier: order.tier, microBatch: microBatch)]
        update(order.tier, microBatch, at: step) { chain in
          guard chainOrder.keepsChain else {
            if step > chain.through { chain.pending.insert(step) }
            return chain.moveOn(to: chain.through)
          }
          if let sha256 = report?.chain {
            chain.held = Holding(worker: worker, through: step, sha256: sha256)
          }
          if let gradient = report?.gradient {
            chain.entries[step] = Entry(worker: worker, identity: identity, gradient: gradient)
          }
          if order.returns != .none { chain.moveOn(to: step) }
        }
      }
    }
  }

  /// A worker has computed what another's result counts for, to the same bits, and its chains go on with it.
  public mutating func alsoHolds(
    _ orders: [WindowOrder], node: TreeNode, step: Int, worker: Int, identity: String = "",
    reports: [WindowReport]
  ) {
    let said = reports.byKey
    for order in orders {
      for (microBatch, chainOrder) in zip(node.leaves(count: microBatchCount), order.chains)
      where chainOrder.keepsChain {
        guard let report = said[WindowKey(tier: order.tier, microBatch: microBatch)],
          let sha256 = report.chain
        else { continue }
        update(order.tier, microBatch, at: step) { chain in
          guard step >= chain.through else { return }
          chain.held = Holding(worker: worker, through: step, sha256: sha256)
          if step > chain.through, let gradient = report.gradient {
            chain.entries[step] = Entry(worker: worker, identity: identity, gradient: gradient)
          }
        }
      }
    }
  }

  /// A chain was collected from its owner, who goes on from it.
  public mutating func collected(_ key: WindowKey, through: Int) {
    update(key.tier, key.microBatch, at: through) { $0.moveOn(to: through) }
  }

  /// The gradient of an earlier step was computed again.
  public mutating func recomputed(_ key: WindowKey, step: Int) {
    update(key.tier, key.microBatch, at: step) { chain in
      if step > chain.through { chain.pending.insert(step) }
      chain.moveOn(to: chain.through)
    }
  }

  /// The first and the last step of the chain that a worker has, by its digest; nil if none has it.
  func steps(ofHeld sha256: String, _ key: WindowKey) -> ClosedRange<Int>? {
    guard chains.indices.contains(key.tier), chains[key.tier].indices.contains(key.microBatch),
      let chain = chains[key.tier][key.microBatch], let held = chain.held, held.sha256 == sha256
    else { return nil }
    return chain.first...max(chain.first, held.through)
  }

  /// What a gradient that was lost must be when it is computed again, and who said so.
  public func recorded(_ key: WindowKey, step: Int) -> (worker: Int, identity: String, gradient: String)? {
    chain(key.tier, key.microBatch, at: step)?.entries[step].map { ($0.worker, $0.identity, $0.gradient) }
  }

  // MARK: - Losses

  /// A worker is gone, with all its chains.
  public mutating func lost(worker: Int) { forget { key, held in held.worker == worker } }

  /// It is not known how far a worker's chains of a shard have gone.
  public mutating func lost(worker: Int, shard: Shard) {
    let leaves = shard.node.leaves(count: microBatchCount)
    forget { key, held in
      held.worker == worker && shard.tiers.contains(key.tier) && leaves.contains(key.microBatch)
    }
  }

  private mutating func forget(_ isLost: (WindowKey, Holding) -> Bool) {
    for tier in chains.indices {
      for microBatch in chains[tier].indices {
        guard let held = chains[tier][microBatch]?.held,
          isLost(WindowKey(tier: tier, microBatch: microBatch), held)
        else { continue }
        chains[tier][microBatch]?.held = nil
      }
    }
  }

  // MARK: - Gaps

  /// What has to come before the chains of these tiers are here through `step`.
  public func gaps(tiers: [Int], through step: Int) -> WindowGaps {
    var gaps = WindowGaps()
    for tier in tiers {
      for microBatch in 0..<microBatchCount {
        let key = WindowKey(tier: tier, microBatch: microBatch)
        let first = clock.start(tier: tier, step: step)
        let chain = chain(tier, microBatch, at: step) ?? PartialSum(first: first, through: first - 1)
        guard chain.through < step else { continue }
        if let held = chain.held, held.through > chain.through {
          gaps.collect[held.worker, default: [:]][key] = held.sha256
        } else {
          for missing in (chain.through + 1)...step where !chain.pending.contains(missing) {
            gaps.recompute[missing, default: []].append(key)
          }
        }
      }
    }
    return gaps
  }

  /// The first step whose parameters may still be needed to compute again what is lost; `step` + 1 if none is.
  public func oldestStep(after step: Int) -> Int {
    var oldest = step + 1
    for tier in chains.indices where !clock.isBoundary(tier: tier, step: step) {
      let first = clock.start(tier: tier, step: step)
      for microBatch in 0..<microBatchCount {
        oldest = min(oldest, (chain(tier, microBatch, at: step)?.through ?? first - 1) + 1)
      }
    }
    return oldest
  }
}

/// What chains lack.
public struct WindowGaps: Sendable, Equatable {
  /// By worker: chains that it has further than they are here, with their digests.
  public var collect: [Int: [WindowKey: String]] = [:]
  /// By step: gradients that nobody has.
  public var recompute: [Int: [WindowKey]] = [:]

  public init() {}

  public var isEmpty: Bool { collect.isEmpty && recompute.isEmpty }
}
