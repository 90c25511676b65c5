import NestedLearning

/// The tier plans that evaluations of a run have led to: a function of the config and of these, so that a step which is
/// replayed, or proved, has the plan that it had.
package struct PlanCourse: Sendable {
  /// The newest.
  package private(set) var plan: TierPlan
  private let config: NestedLearningConfig
  /// Nil where the periods stay.
  private var curriculum: CurriculumCourse?

  /// - Parameter scheduler: of plan 1.
  package init(config: NestedLearningConfig, scheduler: ParameterTierScheduler) {
    plan = TierPlan(scheduler: scheduler)
    self.config = config
    // A config that cannot be has been refused long before.
    let strategy = config.changesPeriods ? try? config.curriculum() : nil
    curriculum = strategy.map { CurriculumCourse($0) }
  }

  /// Takes the next evaluation.
  ///
  /// - Returns: whether another plan begins after it.
  @discardableResult package mutating func take(_ evaluation: EvaluatedAccuracy) -> Bool {
    let periods = config.frequencies(ofStage: curriculum?.strategy.stage ?? 0)
    guard curriculum?.take(evaluation) == true, let stage = curriculum?.strategy.stage else { return false }
    let frequencies = config.frequencies(ofStage: stage)
    guard frequencies != periods else { return false }
    plan = plan.followed(by: PeriodChange(firstStep: evaluation.step + 1, frequencies: frequencies))
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
