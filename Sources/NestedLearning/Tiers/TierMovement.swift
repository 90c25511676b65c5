extension Tier {
  /// A tier with fewer updates than this in a run is warned of. An update of Adam moves a parameter by a learning rate
  /// or so, whatever the gradient: n updates take a tier n learning rates far at most.
  public static let fewestUpdates = 10

  /// How often the steps 1 ... `steps` update the tier.
  public func updates(in steps: Int) -> Int {
    isFrozen || steps < firstUpdate ? 0 : (steps - firstUpdate) / frequency + 1
  }

  /// The first step that updates it: its phase, or its period if that is 0, or the first of its later steps for one that
  /// begins to learn later.
  public var firstUpdate: Int {
    guard !isFrozen else { return Self.never }
    let start = max(1, firstStep)
    let sinceUpdate = ((start - phase) % frequency + frequency) % frequency
    return sinceUpdate == 0 ? start : start + frequency - sinceUpdate
  }

  /// Its clock in words, as in "every 4 steps from step 2 on".
  public var clockText: String {
    guard !isFrozen else { return "never (frozen)" }
    let period = frequency == 1 ? "every step" : "every \(frequency) steps"
    return period + (phase == 0 && firstStep <= 1 ? "" : " from step \(firstUpdate) on")
  }
}

extension ParameterTierScheduler {
  /// A line for each tier that hardly moves, or does not at all, in a run of so many steps; empty if all do.
  public func movementWarnings(numSteps: Int) -> [String] {
    shownTiers.movementWarnings(numSteps: numSteps)
  }
}

extension [Tier] {
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
