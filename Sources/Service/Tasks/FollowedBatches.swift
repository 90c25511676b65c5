import Ledger
import NestedLearning
import Training
import WireProtocol

/// The data of a run whose evaluations are on record, for computing its steps again.
struct FollowedBatches: BatchSource {
  private let source: any BatchSource
  private let worst: [WorstTask]

  init(_ source: any BatchSource, worst: [WorstTask]) { (self.source, self.worst) = (source, worst) }

  func microBatches(step: Int) -> [AssignedMicroBatch] { source.microBatches(step: step, worst: worst) }
  func evaluationTokens() -> [Int] { source.evaluationTokens() }
  func evaluationBatch(_ number: Int) -> AssignedMicroBatch { source.evaluationBatch(number) }
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
