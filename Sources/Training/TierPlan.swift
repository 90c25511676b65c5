import Coordination
import NestedLearning

/// Which parameters are updated when and with which rate, in force from a step on. A run has one plan, number 1, from
/// its first step to its last; plans that follow each other have ascending numbers and first steps.
public struct TierPlan: Sendable {
  /// 1 for the plan that a run begins with.
  public let number: Int
  /// The first step (1-based) that the plan is in force at.
  public let firstStep: Int
  /// Groups of parameters with their periods, phases and rates.
  public let scheduler: ParameterTierScheduler

  public init(number: Int = 1, firstStep: Int = 1, scheduler: ParameterTierScheduler) {
    self.number = number
    self.firstStep = firstStep
    self.scheduler = scheduler
  }

  /// When the windows of its tiers begin and end.
  var clock: WindowClock { WindowClock(scheduler.tiers) }
  /// The tiers that gradients of a step (1-based) can be of use to, ascending.
  func learningTiers(at step: Int) -> [Int] { scheduler.learningTiers(at: step) }
  /// The tiers that a step (1-based) updates, ascending.
  func activeTiers(at step: Int) -> [Int] { scheduler.activeTiers(at: step) }
  /// The tiers that have a window open after a step, ascending; none before the first step.
  func openTiers(after step: Int) -> [Int] { scheduler.openTiers(after: step) }
}
