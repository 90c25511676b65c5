extension Tier {
  /// A tier with fewer updates than this in a run is warned of. An update of Adam moves a parameter by a learning rate
  /// or so, whatever the gradient: n updates take a tier n learning rates far at most.
  public static let fewestUpdates = 10

  /// How often the steps 1 ... `steps` update the tier, by the plans that are known.
  public func updates(in steps: Int) -> Int {
    isFrozen || steps < firstUpdate ? 0 : clock.boundaries(in: firstUpdate...steps)
  }

  /// The first step that updates it: its phase, or its period if that is 0, or the first of its later steps for one that
  /// begins to learn later.
  public var firstUpdate: Int { isFrozen ? Self.never : clock.boundary(from: max(1, firstStep)) }

  /// Its clock in words, as in "every 4 steps from step 2 on", or "every step, every 2 steps after step 8"; with "as tier 1"
  /// behind each period where it becomes part of another tier of the config.
  public var clockText: String {
    guard !isFrozen else { return "never (frozen)" }
    let moves = clock.stretches.contains { $0.configTier != clock.stretches[0].configTier }
    let texts = clock.stretches.map { stretch in
      let period = stretch.periodText + (moves ? " as tier \(stretch.configTier)" : "")
      if stretch.after > 0 { return "\(period) after step \(stretch.after)" }
      return period + (stretch.phase == 0 && firstStep <= 1 ? "" : " from step \(firstUpdate) on")
    }
    return texts.joined(separator: ", ")
  }
}

extension ParameterTierScheduler {
  /// The tiers' periods in words, as in "tier 0 every step, tier 1 every 4 steps after step 12"; where parameters move,
  /// with the tiers of the config that they are in, as in "tier 1 every 4 steps as tier 0 after step 12".
  public var periodsText: String {
    tiers.map { tier in
      let newest = tier.clock.newest
      let place = movesParameters ? " as tier \(newest.configTier)" : ""
      return "tier \(tier.index) \(newest.periodText)\(place)"
        + (newest.after > 0 ? " after step \(newest.after)" : "")
    }.joined(separator: ", ")
  }

  /// A line for each tier that hardly moves, or does not at all, in a run of so many steps; empty if all do.
  public func movementWarnings(numSteps: Int) -> [String] {
    shownTiers.movementWarnings(numSteps: numSteps)
  }
}

extension TierClock.Stretch {
  /// As in "every step", or "every 4 steps".
  fileprivate var periodText: String { frequency == 1 ? "every step" : "every \(frequency) steps" }
}

extension [Tier] {
  /// Whether some are, or were, part of other tiers of the config than their own numbers say.
  public var arePartsOfOthers: Bool {
    contains { tier in tier.clock.stretches.contains { $0.configTier != tier.index } }
  }

  /// A line for each tier that hardly moves, or does not at all, in a run of so many steps; empty if all do.
  public func movementWarnings(numSteps: Int) -> [String] {
    compactMap { tier in
      let updates = tier.updates(in: numSteps)
      guard updates < Tier.fewestUpdates, !tier.isFrozen else { return nil }
      let run = "the run's \(numSteps) step\(numSteps == 1 ? "" : "s")"
      guard updates > 0 else {
        return
          "tier \(tier.index) does not move: it is updated \(tier.clockText), which is beyond \(run); lower its period "
          + "in tier_update_frequencies, or raise num_steps"
      }
      let times = updates == 1 ? "once" : "\(updates) times"
      return "tier \(tier.index) hardly moves: it is updated \(tier.clockText), \(times) in \(run)"
    }
  }
}
