import Foundation
import Testing

@testable import NestedLearning

@Suite struct LearningRateScheduleTests {
  private func rates(_ kind: LearningRateScheduleKind, warmup: Int, steps: Int) -> [Double] {
    let schedule = LearningRateSchedule(
      config: config {
        $0.learningRate = 0.5
        $0.lrSchedule = kind
        $0.warmupSteps = warmup
        $0.numSteps = steps
      })
    return (1...steps).map(schedule.rate)
  }

  /// t/w to step w = 4, then p = (t − 4)/7 to step 10.
  @Test func ratesFollowTheFormulas() {
    let warm = [0.125, 0.25, 0.375, 0.5]
    #expect(rates(.constant, warmup: 4, steps: 10) == warm + Array(repeating: 0.5, count: 6))
    #expect(rates(.linear, warmup: 4, steps: 10) == warm + (1...6).map { 0.5 * (1 - Double($0) / 7) })
    let cosine = rates(.cosine, warmup: 4, steps: 10)
    for (rate, expected) in zip(cosine, warm + (1...6).map { 0.25 * (1 + cos(Double.pi * Double($0) / 7)) }) {
      #expect(abs(rate - expected) <= 1e-16)
    }
  }

  @Test func warmUpMayBeMissingOrLongerThanTheRun() {
    #expect(rates(.linear, warmup: 0, steps: 3) == [1, 2, 3].map { 0.5 * (1 - $0 / 4) })
    #expect(rates(.cosine, warmup: 8, steps: 4) == [0.0625, 0.125, 0.1875, 0.25])
    #expect(rates(.linear, warmup: 3, steps: 3).last == 0.5)
  }
}
