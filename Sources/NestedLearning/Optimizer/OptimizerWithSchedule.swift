/// An optimizer over the tiers of a config, and the learning rate of each step.
///
/// ```swift
/// let (optimizer, schedule) = createOptimizerWithSchedule(
///   config: config, scheduler: scheduler, counts: ["a": 4])
/// ```
///
/// - Parameter counts: how many numbers each parameter has, by name.
/// - Returns: the optimizer before its first update, and the schedule; a tier's rate is
///   `schedule.rate(at: step) * scheduler.learningRateScale(tier)`.
public func createOptimizerWithSchedule(
  config: NestedLearningConfig, scheduler: ParameterTierScheduler, counts: [String: Int]
) -> (optimizer: NestedAdam, schedule: LearningRateSchedule) {
  (
    NestedAdam(config: config, tierCount: scheduler.tiers.count, counts: counts),
    LearningRateSchedule(config: config)
  )
}
