import Ledger
import NestedLearning
import Training

extension FollowedEvaluations {
  /// What recorded evaluations have found.
  init(_ records: [EvaluationRecord], config: NestedLearningConfig) {
    self.init(
      accuracies: records.compactMap(EvaluatedAccuracy.init),
      worst: records.compactMap { $0.worstTask(of: config) })
  }
}

extension EvaluationRecord {
  /// The task that it found to be the worst, where the run's steps follow that.
  func worstTask(of config: NestedLearningConfig) -> WorstTask? {
    guard let name = metrics["worst_task"]?.string,
      let task = config.tasks.firstIndex(where: { $0.name == name })
    else { return nil }
    return WorstTask(step: step, task: task)
  }
}
