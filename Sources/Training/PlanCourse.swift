import NestedLearning

/// The tier plans that evaluations of a run have led to: a function of the config and of these, so that a step which is
/// replayed, or proved, has the plan that it had.
package struct PlanCourse: Sendable {
  /// The newest.
  package private(set) var plan: TierPlan
  private let config: NestedLearningConfig
  /// Nil where periods and modules stay.
  private var curriculum: CurriculumCourse?

  /// - Parameter scheduler: of plan 1.
  package init(config: NestedLearningConfig, scheduler: ParameterTierScheduler) {
    plan = TierPlan(scheduler: scheduler)
    self.config = config
    // A config that cannot be has been refused long before.
    let strategy = config.changesPlans ? try? config.curriculum() : nil
    curriculum = strategy.map { CurriculumCourse($0) }
  }

  /// Takes the next evaluation.
  ///
  /// - Returns: whether another plan begins after it.
  @discardableResult package mutating func take(_ evaluation: EvaluatedAccuracy) -> Bool {
    let before = curriculum?.strategy.stage ?? 0
    guard curriculum?.take(evaluation) == true, let stage = curriculum?.strategy.stage else { return false }
    let firstStep = evaluation.step + 1
    let change = config.planChange(ofStage: stage, firstStep: firstStep, plan.scheduler)
    guard !change.isSamePlan(as: config.planChange(ofStage: before, firstStep: firstStep, plan.scheduler))
    else { return false }
    plan = plan.followed(by: change)
    return true
  }

  /// As it is once all of these were taken.
  package func after(_ evaluations: some Sequence<EvaluatedAccuracy>) -> PlanCourse {
    guard curriculum != nil else { return self }
    var course = self
    for evaluation in evaluations { course.take(evaluation) }
    return course
  }
}
