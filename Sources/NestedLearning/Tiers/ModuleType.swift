import Randomness

/// What a module of a transformer is part of, for `tier_assignment_strategy: module_type`.
public enum ModuleType: String, Sendable, CaseIterable {
  case attention
  case mlp
  /// Embeddings, norms between blocks, the head.
  case other

  /// By the parts of its name: `model.layers.0.self_attn.q_proj` is of attention, `model.layers.0.mlp.up_proj` of the MLP.
  public init(module: String) {
    let parts = module.split(separator: ".")
    self = parts.contains("self_attn") ? .attention : parts.contains("mlp") ? .mlp : .other
  }
}

extension TierAssignment {
  /// Attention in tier 0 and the rest in the last, or as `tiers` has it: the name of a module (`q_proj`) counts before
  /// its type.
  static func byType(
    _ parameters: [TrainableParameter], tiers: [ModuleTypeTier], tierCount: Int
  ) throws(TierError) -> [Int] {
    let standard = ModuleType.allCases.map {
      ModuleTypeTier(name: $0.rawValue, tier: $0 == .attention ? 0 : tierCount - 1)
    }
    let given = tiers.isEmpty ? standard : tiers
    let tierOfName = Dictionary(given.map { ($0.name, $0.tier) }, uniquingKeysWith: { first, _ in first })
    var unused = Set(tierOfName.keys).subtracting(ModuleType.allCases.map(\.rawValue))
    var assignment: [Int] = []
    for parameter in parameters {
      let name = parameter.module.split(separator: ".").last.map(String.init) ?? parameter.module
      let type = ModuleType(module: parameter.module)
      guard let tier = tierOfName[name] ?? tierOfName[type.rawValue] else {
        throw TierError(
          reason:
            "\(parameter.module) has no tier in module_type_tiers, by its name \(name) or its type \(type.rawValue)",
          remedy: "add \"\(type.rawValue)\" to module_type_tiers")
      }
      unused.remove(name)
      assignment.append(tier)
    }
    if let name = unused.sortedByBytes().first {
      throw TierError(
        reason: "\"\(name)\" of module_type_tiers is no module that is trained",
        remedy: "types are attention, mlp and other; names are those such as q_proj")
    }
    return assignment
  }

  /// The modules in a random order of (seed, tierAssignment), the i-th of n in tier min(⌊i/⌊n/K⌋⌋, K − 1): as many
  /// modules a tier as there can be, wherever they stand.
  static func atRandom(
    _ parameters: [TrainableParameter], tierCount: Int, seed: UInt64
  ) throws(TierError) -> [Int] {
    let modules = Set(parameters.map(\.module)).sortedByBytes()
    let order = CounterRandom.order(count: modules.count, seed: seed, .tierAssignment)
    return try inTurn(parameters, order: order.map { modules[Int($0)] }, tierCount: tierCount)
  }

  /// The i-th of n modules in tier min(⌊i/⌊n/K⌋⌋, K − 1): the last tier takes the remainder.
  ///
  /// - Parameter order: every module once.
  static func inTurn(
    _ parameters: [TrainableParameter], order: [String], tierCount: Int
  ) throws(TierError) -> [Int] {
    guard order.count >= tierCount else {
      throw TierError(
        reason: "\(tierCount) tiers are more than the \(order.count) modules to be trained",
        remedy: "set num_tiers to at most \(order.count)")
    }
    let perTier = order.count / tierCount
    let tiers = Dictionary(
      uniqueKeysWithValues: order.enumerated().map { ($1, min($0 / perTier, tierCount - 1)) })
    return parameters.map { tiers[$0.module] ?? 0 }
  }
}
