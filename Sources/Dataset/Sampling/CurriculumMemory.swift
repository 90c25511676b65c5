import Foundation
import NestedLearning

/// The course of a run's curriculum, for each micro-batch that is asked for.
///
/// Unchecked: what changes is behind the lock, and only a memory of what was computed.
final class CurriculumMemory: @unchecked Sendable {
  private let lock = NSLock()
  private var history: CurriculumHistory

  init(_ strategy: any CurriculumStrategy) { history = CurriculumHistory(strategy) }

  /// As it is for a step (1-based): after all evaluations before it.
  func before(step: Int, _ evaluations: [EvaluatedAccuracy]) -> CurriculumCourse {
    lock.withLock {
      history.follow(evaluations)
      return history.before(step: step)
    }
  }
}
