import JSON

/// `tier_phase`: at which step of its period each tier is updated.
public enum TierPhase: Sendable, Equatable {
  /// All tiers at steps f, 2f, …, so that they meet at common multiples of their periods.
  case aligned
  /// Tier k at steps (k mod f_k), (k mod f_k) + f_k, …, so that fewer tiers meet in one step.
  case staggered
  /// A phase for each tier, from 0 to below its period; 0 makes that steps f, 2f, ….
  case list([Int])

  /// The phase of each tier: `staggered` is phase_k = k mod f_k.
  ///
  /// - Parameter frequencies: the tiers' periods f_k, at least 1.
  public func phases(frequencies: [Int]) -> [Int] {
    switch self {
    case .aligned: frequencies.map { _ in 0 }
    case .staggered: frequencies.enumerated().map { $0 % $1 }
    case .list(let phases): phases
    }
  }
}

/// An entry of `module_type_tiers`: which tier the modules of a type, or of a name, are in.
public struct ModuleTypeTier: Sendable, Equatable {
  /// A type of modules (`attention`, `mlp`, `other`), or the last part of a module's name, such as `q_proj`.
  public let name: String
  public let tier: Int

  public init(name: String, tier: Int) {
    self.name = name
    self.tier = tier
  }
}

// The keys of tiers that are of their own kind.
extension NestedLearningConfig {
  static let moduleTypeTiersKey = ConfigKey(
    "module_type_tiers", .numberMap,
    "For the module_type strategy: tiers of attention, mlp and other, or of single modules such as q_proj, which count "
      + "first; else attention is in tier 0, the rest in the last.",
    read: { (config, value) throws(ConfigValueError) in
      config.moduleTypeTiers = try entries(value) { (value) throws(ConfigValueError) in
        try ConfigKey.whole(value, 0...1023)
      }.map { ModuleTypeTier(name: $0.pattern, tier: $0.value) }
    },
    write: { config in
      if config.moduleTypeTiers.isEmpty { return .null }
      return .object(
        JSONObject(config.moduleTypeTiers.map { .init(key: $0.name, value: .number($0.tier)) }))
    })

  static let tierSeedKey = ConfigKey(
    "tier_seed", .integer,
    "For the random strategy: decides which modules are in which tier; else seed does.",
    read: { (config, value) throws(ConfigValueError) in
      config.tierSeed = value.isNull ? nil : UInt64(try ConfigKey.whole(value, 0...Int.max))
    },
    write: { $0.tierSeed.map { .number(String($0)) } ?? .null })

  static let tierPhaseKey = ConfigKey(
    "tier_phase", .choiceOrNumbers(["aligned", "staggered"]),
    "When in its period a tier is updated: aligned (steps f, 2f, …), staggered (tier k from step k mod f on), or a phase "
      + "from 0 to below f for each tier.",
    read: { (config, value) throws(ConfigValueError) in
      switch value {
      case .string("aligned"): config.tierPhase = .aligned
      case .string("staggered"): config.tierPhase = .staggered
      default:
        config.tierPhase = .list(
          try ConfigKey.list(value, "aligned or staggered or a list of whole numbers") {
            (item) throws(ConfigValueError) in try ConfigKey.whole(item, 0...999_999_999)
          })
      }
    },
    write: {
      switch $0.tierPhase {
      case .aligned: "aligned"
      case .staggered: "staggered"
      case .list(let phases): .numbers(phases)
      }
    })

  func checkPhases(_ source: ConfigSource) throws(ConfigError) {
    guard case .list(let phases) = tierPhase else { return }
    guard phases.count == numTiers else {
      throw source.error(
        "tier_phase", "has \(phases.count) values for \(numTiers) tiers (num_tiers)", "give one for each tier"
      )
    }
    for (tier, (phase, frequency)) in zip(phases, initialFrequencies).enumerated()
    where !(0..<frequency).contains(phase) {
      let key = initialFrequencies == tierUpdateFrequencies ? "tier_update_frequencies" : "the first stage"
      throw source.error(
        "tier_phase", "is \(phase) for tier \(tier), whose period is \(frequency) (\(key))",
        "a phase is from 0 to below the period")
    }
  }

  func checkModuleTypes(_ source: ConfigSource) throws(ConfigError) {
    for entry in moduleTypeTiers where !(0..<numTiers).contains(entry.tier) {
      throw source.error(
        "module_type_tiers", "\"\(entry.name)\" goes to tier \(entry.tier) of \(numTiers) (num_tiers)",
        "tiers are numbered from 0 to \(numTiers - 1)")
    }
    if moduleTypeTiers.isEmpty, numTiers > 2 {
      throw source.error(
        "module_type_tiers",
        "is missing: attention and the rest make two tiers, and num_tiers is \(numTiers)",
        #"set num_tiers to 2, or give tiers such as {"attention": 0, "mlp": 1, "down_proj": 2}"#)
    }
  }
}
