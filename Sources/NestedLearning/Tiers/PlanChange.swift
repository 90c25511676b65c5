/// What tiers of a config are from a step on: their periods, and who is in them. Each tier takes its own once its window is
/// closed; those that lose or gain parameters do so together, after a step that updates all of them.
public struct PlanChange: Sendable, Equatable {
  /// The first step (1-based) that it can be in force at.
  public let firstStep: Int
  /// By tier of the config.
  public let frequencies: [Int]
  /// By tier of the scheduler, the tier of the config that its parameters are in; nil: nothing moves.
  public let configTiers: [Int]?

  public init(firstStep: Int, frequencies: [Int], configTiers: [Int]? = nil) {
    self.firstStep = firstStep
    self.frequencies = frequencies
    self.configTiers = configTiers
  }

  /// Whether tiers are the same by both, whenever they begin.
  public func isSamePlan(as other: PlanChange) -> Bool {
    frequencies == other.frequencies && configTiers == other.configTiers
  }
}

extension ParameterTierScheduler {
  /// Takes other periods, and other places of parameters; changes come in the order of their steps. What waits of one
  /// before is replaced, and never comes.
  ///
  /// A tier of the scheduler moves as a whole, with its moments and its count of updates, and with no window open: both
  /// the tier of the config that it leaves and the one that it comes to have been updated by the same step. Where no step
  /// before the last one does so, they stay as they are.
  public mutating func follow(_ change: PlanChange) {
    for place in tiers.indices { tiers[place].clock.dropWaiting(at: change.firstStep) }
    let from = tiers.map(\.configTier)
    let to = change.configTiers.flatMap { $0.count == from.count ? $0 : nil } ?? from
    let concerned = concerned(by: change)
    let common = concerned.isEmpty ? nil : commonBoundary(of: concerned, from: change.firstStep - 1)
    for place in tiers.indices where change.frequencies.indices.contains(to[place]) {
      let frequency = change.frequencies[to[place]]
      if !concerned.contains(from[place]) {
        tiers[place].clock.change(to: frequency, from: change.firstStep)
      } else if let common {
        tiers[place].clock.change(to: frequency, of: to[place], after: common)
      }
    }
  }

  /// The tiers of the config that lose or gain parameters.
  private func concerned(by change: PlanChange) -> Set<Int> {
    let places = zip(tiers.map(\.configTier), change.configTiers ?? [])
    return Set(places.filter { $0 != $1 }.flatMap { [$0, $1] })
  }

  /// Whether a change that was followed moves parameters after no step any more.
  public func isTooLate(for change: PlanChange?) -> Bool {
    change?.configTiers.map { $0 != tiers.map(\.configTier) } ?? false
  }

  /// The first step from `step` on, before the last, that is a boundary of all of these tiers of the config; nil if there is
  /// none.
  private func commonBoundary(of configTiers: Set<Int>, from step: Int) -> Int? {
    // All that is in one tier of the config has one clock.
    let clocks = configTiers.compactMap { configTier in tiers.first { $0.configTier == configTier }?.clock }
    var step = step
    while step < lastStep {
      let next = clocks.reduce(step) { max($0, $1.boundary(from: step)) }
      if next == step { return step }
      step = next
    }
    return nil
  }

  /// A line for each stage of the curriculum that can move nothing in the run, if all begin as early as they can; empty if
  /// all can.
  public func moveWarnings(_ config: NestedLearningConfig) -> [String] {
    guard movesParameters else { return [] }
    var (scheduler, lines) = (self, [String]())
    var last = config.planChange(ofStage: 0, firstStep: 1, self)
    for stage in config.curriculumStages.indices.dropFirst() {
      let firstStep = stage * (config.curriculumPatience ?? 1) * config.evalEvery + 1
      let change = config.planChange(ofStage: stage, firstStep: firstStep, self)
      defer { last = change }
      guard firstStep <= config.numSteps, !change.isSamePlan(as: last) else { continue }
      scheduler.follow(change)
      guard scheduler.isTooLate(for: change) else { continue }
      let tiers = scheduler.concerned(by: change).sorted().map(String.init)
      lines.append(
        "stage \(stage) of curriculum_stages moves nothing: no step from \(firstStep - 1) on, where it begins at the "
          + "earliest, and before the last of \(config.numSteps) updates all of tiers \(tiers.joined(separator: ", ")); "
          + "choose periods and a tier_phase by which they meet")
    }
    return lines
  }

  /// For each stage of the curriculum, where parameters move, which tiers of the config the tiers are part of.
  public var stageLines: [String] {
    guard movesParameters else { return [] }
    let own = tiers.map { "\($0.index)" }.joined(separator: ", ")
    return stages.enumerated().map { stage, places in
      "Stage \(stage): tiers \(own) as tiers \(places.map(String.init).joined(separator: ", "))"
    }
  }
}

extension NestedLearningConfig {
  /// What a stage of the curriculum makes of the tiers of a scheduler.
  public func planChange(
    ofStage stage: Int, firstStep: Int, _ scheduler: ParameterTierScheduler
  ) -> PlanChange {
    PlanChange(
      firstStep: firstStep, frequencies: frequencies(ofStage: stage),
      configTiers: scheduler.configTiers(ofStage: stage))
  }
}

extension Tier {
  /// Takes another period from a step on, once its window is closed.
  public mutating func follow(_ frequency: Int, from step: Int) { clock.change(to: frequency, from: step) }

  /// Takes what a plan says of it, which begins at a step.
  public mutating func follow(_ newest: TierClock.Stretch, from step: Int) {
    clock.follow(newest, from: step)
  }
}
