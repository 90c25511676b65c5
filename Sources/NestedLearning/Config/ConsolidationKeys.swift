import JSON

/// `tier_mode`: what tiers divide.
public enum TierMode: String, Sendable, CaseIterable {
  /// The parameters: each belongs to one tier.
  case layers
  /// Time: every parameter learns at each step, and slower copies of all of them follow. See `Consolidation`.
  case consolidate
}

/// `consolidate_moments`: what becomes of the moments of Adam where a slower copy follows.
public enum ConsolidateMoments: String, Sendable, CaseIterable {
  case keep
  /// Zero, with the count of updates that corrects their bias.
  case reset
  /// They follow as the parameters do.
  case interpolate
}

// The keys of `tier_mode: consolidate`.
extension NestedLearningConfig {
  static let consolidationKeys: [ConfigKey] = [
    .choice(
      "tier_mode", \.tierMode,
      "What tiers divide: the parameters (layers), or time: every parameter learns at each step, and at the boundary of a "
        + "tier its slower copy moves towards the faster one, which goes on from there (consolidate)."),
    consolidateAlphaKey,
    .choice(
      "consolidate_moments", \.consolidateMoments,
      "What becomes of Adam's moments where a slower copy follows: they stay, begin at zero, or follow as well."
    ),
    .number(
      "anchor", \.anchor, "from 0 to 1", { $0 >= 0 && $0 <= 1 },
      "How far the slowest copy goes back to where training began, at each of its boundaries."),
  ]

  private static let consolidateAlphaKey = ConfigKey(
    "consolidate_alpha", .numbers,
    "How far a slower copy moves towards the faster one: a number above 0 and up to 1, or one for each tier but the first.",
    read: { (config, value) throws(ConfigValueError) in
      let expected = "a number above 0 and up to 1, or a list of these"
      let isShare = { @Sendable (alpha: Double) in alpha > 0 && alpha <= 1 }
      guard value.array != nil else {
        config.consolidateAlpha = [try ConfigKey.real(value, expected, isShare)]
        return
      }
      config.consolidateAlpha = try ConfigKey.list(value, expected) { (item) throws(ConfigValueError) in
        try ConfigKey.real(item, expected, isShare)
      }
    },
    write: {
      $0.consolidateAlpha.count == 1 ? .number($0.consolidateAlpha[0]) : .numbers($0.consolidateAlpha)
    })

  /// The rules of `tier_mode: consolidate`.
  func checkConsolidation(_ source: ConfigSource) throws(ConfigError) {
    guard tierMode == .consolidate else {
      for (key, isGiven) in [
        ("consolidate_alpha", consolidateAlpha != [0.5]),
        ("consolidate_moments", consolidateMoments != .keep),
        ("anchor", anchor != 0),
      ] where isGiven {
        throw source.error(key, "is only for tier_mode consolidate", "set that, or leave out \(key)")
      }
      return
    }
    let periods = tierUpdateFrequencies
    guard periods.first == 1 else {
      throw source.error(
        "tier_update_frequencies",
        "begins with \(periods.first ?? 0), but with tier_mode consolidate tier 0 learns at "
          + "each step", "begin it with 1")
    }
    if let tier = periods.indices.dropFirst().first(where: { periods[$0] % periods[$0 - 1] != 0 }) {
      throw source.error(
        "tier_update_frequencies",
        "\(periods[tier]) is no multiple of \(periods[tier - 1]), which tier_mode consolidate asks for",
        "make each period a multiple of the one before, as in \(periods.indices.map { 1 << (2 * $0) })")
    }
    guard let slowest = periods.last, slowest <= numSteps else {
      throw source.error(
        "tier_update_frequencies",
        "the slowest copy would follow every \(periods.last ?? 0) steps, and the run has \(numSteps) (num_steps): it would "
          + "end where it began", "lower the period to at most num_steps")
    }
    guard consolidateAlpha.count == 1 || consolidateAlpha.count == numTiers - 1 else {
      throw source.error(
        "consolidate_alpha",
        "has \(consolidateAlpha.count) values for the \(numTiers - 1) tiers after the first",
        "give one number, or one for each of these tiers")
    }
    guard inactiveGradients == .discard else {
      throw source.error(
        "inactive_gradients",
        "\(inactiveGradients.rawValue) has no meaning with tier_mode consolidate: every gradient is "
          + "applied at once", "leave it out")
    }
    guard tierPhase == .aligned else {
      throw source.error(
        "tier_phase", "has no meaning with tier_mode consolidate: copies follow after their periods",
        "leave it out")
    }
    guard tierLrScale == .none else {
      throw source.error(
        "tier_lr_scale", "has no meaning with tier_mode consolidate: only tier 0 has a learning rate",
        "leave it out")
    }
  }

  /// α of each tier after the first.
  public var consolidationShares: [Double] {
    consolidateAlpha.count == 1
      ? Array(repeating: consolidateAlpha[0], count: max(0, numTiers - 1)) : consolidateAlpha
  }
}
