import Coordination
import NestedLearning
import WireProtocol

/// The coordinator's part of the windows in a run's own layout: a tier's values lie as they travel, and only what is
/// applied or written is divided into parameters.
struct WindowStore {
  private let layout: TierLayout
  private var tiers: [Tier]
  private var sums: WindowSums<[Float]>

  /// The windows as a state has them; nil if it has none.
  init?(state: NestedTrainerState, layout: TierLayout) {
    guard let window = state.window else { return nil }
    self.layout = layout
    tiers = state.scheduler.tiers
    sums = WindowSums(clock: WindowClock(tiers), microBatchCount: window.microBatchCount) {
      Vectors.add($1, to: &$0)
    }
    for tier in tiers where tier.hasOpenWindow(after: state.step) {
      for (g, chains) in window.chains.enumerated() {
        let values = layout.joined(tier: tier.index) { chains[$0] ?? [] }
        sums.take(chain: values, of: WindowKey(tier: tier.index, microBatch: g), through: state.step)
      }
    }
  }

  /// Goes by the clocks of a plan that begins.
  mutating func follow(_ scheduler: ParameterTierScheduler) {
    tiers = scheduler.tiers
    sums.clock = WindowClock(tiers)
  }

  /// Takes everything that a result brings.
  mutating func take(_ message: ResultMessage, node: TreeNode, step: Int) throws {
    for gradient in message.gradients {
      let values = try checked(gradient.values.floats(), tier: gradient.tier)
      if let microBatch = gradient.microBatch {
        sums.take(values, of: WindowKey(tier: gradient.tier, microBatch: microBatch), step: step)
      } else {
        sums.take(sum: values, at: node, tier: gradient.tier, step: step)
      }
    }
    for chain in message.chains {
      let values = try checked(chain.values.floats(), tier: chain.tier)
      let report = message.windows.first { $0.tier == chain.tier && $0.microBatch == chain.microBatch }
      let key = WindowKey(tier: chain.tier, microBatch: chain.microBatch)
      sums.take(chain: values, of: key, through: report?.last ?? step)
    }
  }

  /// What goes into a window must be finite now: by the boundary nobody could tell which step it was.
  private func checked(_ values: [Float], tier: Int) throws -> [Float] {
    guard layout.tiers.indices.contains(tier), values.count == layout.count(tier: tier) else {
      throw TrainingError("\(values.count) values came for tier \(tier)")
    }
    guard !Vectors.isFinite(values) else { return values }
    var gradients = GradientSums()
    try layout.split(tier: tier, values, into: &gradients)
    let name = gradients.keys.sortedByBytes().first { !Vectors.isFinite(gradients[$0] ?? []) }
    throw TrainerError.notFinite(name: name ?? "tier \(tier)")
  }

  func chain(of key: WindowKey, through step: Int) -> [Float]? { sums.chain(of: key, through: step) }

  /// The windows' totals that these tiers are updated with at a boundary.
  func totals(tiers: [Int], boundary step: Int) throws -> GradientSums {
    var totals = GradientSums()
    for tier in tiers {
      try layout.split(tier: tier, sums.total(tier: tier, boundary: step), into: &totals)
    }
    return totals
  }

  mutating func close(tier: Int, boundary step: Int) { sums.close(tier: tier, boundary: step) }

  /// The chains of all windows that are open after `step`, by micro-batch.
  ///
  /// - Throws: `TrainingError` if one does not reach it.
  func chains(after step: Int) throws -> [GradientSums] {
    try (0..<sums.microBatchCount).map { g in
      var chains = GradientSums()
      for tier in tiers where tier.hasOpenWindow(after: step) {
        guard let values = chain(of: WindowKey(tier: tier.index, microBatch: g), through: step) else {
          throw TrainingError(
            "the window of tier \(tier.index), micro-batch \(g) has not come in up to step \(step)")
        }
        try layout.split(tier: tier.index, values, into: &chains)
      }
      return chains
    }
  }
}
