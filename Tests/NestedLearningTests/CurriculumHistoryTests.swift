import Testing

@testable import NestedLearning

/// The course of a curriculum, evaluation by evaluation. The reference is the strategy that is taken through all of them
/// from the start.
@Suite struct CurriculumHistoryTests {
  private static func evaluations(_ count: Int) -> [EvaluatedAccuracy] {
    (0..<count).map {
      EvaluatedAccuracy(step: 3 * $0 + 2, correct: ($0 * 37 + $0 / 50 * 11) % 101, tokens: 100)
    }
  }

  private func check(
    _ history: CurriculumHistory, _ start: any CurriculumStrategy, _ all: [EvaluatedAccuracy]
  ) {
    for step in 1...(3 * all.count + 5) {
      let (course, plain) = (history.before(step: step), start.before(step: step, all))
      #expect(course.strategy.threshold(at: step) == plain.threshold(at: step), "step \(step)")
      #expect(course.strategy.stage == plain.stage)
    }
  }

  @Test func asFromTheStart() throws {
    let strategies: [any CurriculumStrategy] = [
      try AdaptiveCompetence(initial: 0.3, patience: 2), try StagedCurriculum(patience: 3),
      try ProgressiveDifficulty(initial: 0.1, steps: 300),
    ]
    for start in strategies {
      var history = CurriculumHistory(start)
      for count in [0, 1, 63, 64, 65, 128, 200] {
        let all = Self.evaluations(count)
        history.follow(all)
        check(history, start, all)
      }
      // A run that went back has fewer, or has come to others.
      for other in [
        Self.evaluations(70), Self.evaluations(70) + [EvaluatedAccuracy(step: 400, correct: 1, tokens: 2)],
      ] {
        history.follow(other)
        check(history, start, other)
      }
    }
  }

  /// Where a stage began.
  @Test func firstSteps() throws {
    var course = CurriculumCourse(try StagedCurriculum(patience: 2))
    let shares = [8, 2, 8, 8, 9, 9, 9]
    var seen: [[Int]] = []
    for (place, correct) in shares.enumerated() {
      let advanced = course.take(EvaluatedAccuracy(step: 10 * place + 10, correct: correct, tokens: 10))
      seen.append([course.strategy.stage ?? -1, course.firstStep, advanced ? 1 : 0])
    }
    #expect(
      seen == [[0, 1, 0], [0, 1, 0], [0, 1, 0], [1, 41, 1], [1, 41, 0], [2, 61, 1], [2, 61, 0]])
  }

  /// Each of 10⁵ evaluations is gone through once, and a micro-batch asks for no more than the last few of them: what is
  /// taken is counted.
  @Test func manyEvaluations() {
    let all = Self.evaluations(100_000)
    let counter = Counter()
    var history = CurriculumHistory(Counting(counter: counter))
    history.follow(all)
    #expect(counter.count == all.count)
    counter.count = 0
    for step in stride(from: 1, to: 300_000, by: 1000) {
      history.follow(all)
      _ = history.before(step: step)
    }
    #expect(counter.count < 300 * 64)
  }

  private final class Counter: @unchecked Sendable { var count = 0 }

  private struct Counting: CurriculumStrategy {
    let counter: Counter
    func threshold(at step: Int) -> Double { 1 }
    mutating func update(accuracy: Double) { counter.count += 1 }
  }
}
