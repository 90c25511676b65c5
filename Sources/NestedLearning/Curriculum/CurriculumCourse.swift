/// Where a curriculum has come to, evaluation by evaluation: a function of these and of nothing else.
public struct CurriculumCourse: Sendable {
  /// As it is after the evaluations that were taken.
  public private(set) var strategy: any CurriculumStrategy
  /// The first step (1-based) of the present stage.
  public private(set) var firstStep = 1

  public init(_ strategy: any CurriculumStrategy) { self.strategy = strategy }

  /// Takes the next evaluation.
  ///
  /// - Returns: whether another stage begins after it.
  @discardableResult public mutating func take(_ evaluation: EvaluatedAccuracy) -> Bool {
    strategy.update(accuracy: evaluation.share)
    guard strategy.shouldAdvance else { return false }
    let stage = strategy.stage
    strategy.advance()
    guard strategy.stage != stage else { return false }
    firstStep = evaluation.step + 1
    return true
  }
}

/// The course of a curriculum at any of its evaluations, without going through all of them each time: every 64th state is
/// remembered.
public struct CurriculumHistory: Sendable {
  private static let interval = 64
  /// State n is that before evaluation 64·n.
  private var states: [CurriculumCourse]
  private var newest: CurriculumCourse
  /// Ascending by step.
  private var evaluations: [EvaluatedAccuracy] = []

  public init(_ strategy: any CurriculumStrategy) {
    newest = CurriculumCourse(strategy)
    states = [newest]
  }

  /// Takes all evaluations of a run so far. Those that it has taken already are not gone through again, unless a run that
  /// went back has come to others.
  public mutating func follow(_ all: [EvaluatedAccuracy]) {
    // Of the same array this compares nothing.
    guard all != evaluations else { return }
    if !all.starts(with: evaluations) { self = CurriculumHistory(states[0].strategy) }
    for evaluation in all[evaluations.count...] {
      newest.take(evaluation)
      evaluations.append(evaluation)
      if evaluations.count % Self.interval == 0 { states.append(newest) }
    }
    evaluations = all
  }

  /// As it is for a step (1-based): after all evaluations before it.
  public func before(step: Int) -> CurriculumCourse {
    var (low, high) = (0, evaluations.count)
    while low < high {
      let middle = (low + high) / 2
      if evaluations[middle].step < step { low = middle + 1 } else { high = middle }
    }
    guard low < evaluations.count else { return newest }
    var course = states[low / Self.interval]
    for evaluation in evaluations[(low / Self.interval * Self.interval)..<low] { course.take(evaluation) }
    return course
  }
}
