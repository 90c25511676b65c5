import Coordination
import NestedLearning
import WireProtocol

/// Which parameters are updated when and with which rate, in force from a step on. A run begins with plan 1; plans that
/// follow have ascending numbers and first steps, and each tier takes its period of a new one once its window is closed.
/// Tiers here are what has the same history in all plans, so that none ever loses or gains a parameter: a module that moves
/// is a tier, or part of one, that becomes part of another tier of the config, with all that belongs to it.
public struct TierPlan: Sendable {
  /// 1 for the plan that a run begins with.
  public let number: Int
  /// The first step (1-based) that the plan can be in force at.
  public let firstStep: Int
  /// Groups of parameters with their periods, phases and rates, by this plan and those before it.
  public let scheduler: ParameterTierScheduler
  /// What is other than in the plan before; nil for plan 1.
  public let change: PlanChange?

  public init(scheduler: ParameterTierScheduler) {
    (number, firstStep) = (1, 1)
    self.scheduler = scheduler
    change = nil
  }

  /// Whether its modules stay where they were, although it moves some: the tiers concerned are no longer all updated by one
  /// step before the run ends.
  package var movesTooLate: Bool { scheduler.isTooLate(for: change) }

  /// Whether some of its modules will be, or are, in another tier of the config than before it.
  package var movesModules: Bool {
    scheduler.tiers.contains { tier in
      let newest = tier.clock.stretches.suffix(2)
      return tier.clock.newest.after >= firstStep - 1 && newest.first?.configTier != newest.last?.configTier
    }
  }

  private init(after plan: TierPlan, _ change: PlanChange) {
    number = plan.number + 1
    firstStep = change.firstStep
    var scheduler = plan.scheduler
    scheduler.follow(change)
    self.scheduler = scheduler
    self.change = change
  }

  /// The plan that follows.
  func followed(by change: PlanChange) -> TierPlan { TierPlan(after: self, change) }

  /// When the windows of its tiers begin and end.
  package var clock: WindowClock { WindowClock(scheduler.tiers) }
  /// The tiers that gradients of a step (1-based) can be of use to, ascending.
  func learningTiers(at step: Int) -> [Int] { scheduler.learningTiers(at: step) }
  /// The tiers that a step (1-based) updates, ascending.
  func activeTiers(at step: Int) -> [Int] { scheduler.activeTiers(at: step) }
  /// The tiers that have a window open after a step, ascending; none before the first step.
  func openTiers(after step: Int) -> [Int] { scheduler.openTiers(after: step) }
}
