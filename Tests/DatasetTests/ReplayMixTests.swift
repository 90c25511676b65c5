import NestedLearning
import Testing

@testable import Dataset

/// Which rows are rehearsed: the reference is the rule of methods.md, walked row by row.
@Suite struct ReplayMixTests {
  @Test(arguments: [0.1, 0.25, 0.3, 1.0 / 3, 0.5, 0.9, 1], [1, 3])
  func everyRowInTurn(share: Double, period: Int) {
    let mix = ReplayMix(share: share, period: period, rowsPerStep: 7)
    var (n, task, replayed) = (0, 0, 0)
    for step in 1...200 {
      for row in 0..<7 {
        var isReplayed = false
        if step % period == 0 {
          isReplayed = (Double(n + 1) * share).rounded(.down) > (Double(n) * share).rounded(.down)
          n += 1
        }
        let expected = ReplayMix.Place(isReplayed: isReplayed, index: isReplayed ? replayed : task)
        #expect(mix.place(step: step, row: row) == expected, "step \(step), row \(row)")
        if isReplayed { replayed += 1 } else { task += 1 }
      }
      #expect(mix.taskRows(through: step) == task)
    }
    #expect(abs(Double(replayed) - share * Double(n)) < 1)
  }

  private func rows(_ count: Int, from first: Int32) -> RowSet {
    RowSet((0..<count).map { TokenRow(ids: [first + Int32($0), first + Int32($0)]) })
  }

  /// The rows of the task are those that they were without rehearsal, later.
  @Test func bothOrdersGoOn() throws {
    let sampler = try StepSampler(
      rows: rows(5, from: 10), replay: rows(3, from: 90),
      config: config {
        $0.batchSize = 2
        $0.gradientAccumulationSteps = 2
        $0.shuffle = false
        $0.replayFraction = 0.25
      })
    let taken = (1...4).flatMap { step in
      (0..<2).flatMap {
        sampler.microBatch(step: step, index: $0).tokens.enumerated().filter { $0.offset % 2 == 0 }
      }
    }.map(\.element)
    #expect(taken == [10, 11, 12, 90, 13, 14, 10, 91, 11, 12, 13, 92, 14, 10, 11, 90])
    #expect(sampler.rows(step: 1, index: 1).map(\.isReplayed) == [false, true])
    #expect(sampler.epoch(after: 1) == 0 && sampler.epoch(after: 2) == 1 && sampler.epoch(after: 4) == 2)
    #expect(sampler.trainedTokens(step: 3) == 4)
  }

  /// Packs take turns as rows do, and no pack has rows of both kinds.
  @Test func packs() throws {
    let sampler = try StepSampler(
      rows: rows(9, from: 10), replay: rows(4, from: 90),
      config: config {
        $0.batchSize = 4
        $0.gradientAccumulationSteps = 1
        $0.shuffle = false
        $0.packing = true
        $0.maxSeqLength = 4
        $0.replayFraction = 0.5
      })
    #expect(sampler.rows(step: 1, index: 0).map(\.number) == [0, 1, 0, 1, 2, 3, 2, 3])
    #expect(
      sampler.rows(step: 1, index: 0).map(\.isReplayed)
        == [false, false, true, true, false, false, true, true])
  }
}
