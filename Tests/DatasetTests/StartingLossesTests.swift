import Foundation
import LanguageModel
import NestedLearning
import Testing

@testable import Dataset

/// Weights of rows and masks of tokens by the loss at the start: FLOW (c = e^(−ℓ̄/τ) over its mean, τ the lower median) and
/// STM (tokens above ln 2.5 are masked), from their formulas.
@Suite struct StartingLossesTests {
  private func rows(_ ids: [[Int32]]) -> RowSet { RowSet(ids.map { TokenRow(ids: $0) }) }

  @Test func rowsCountByHowWellTheyAreKnown() throws {
    // Means 1, 4, 2, 3: the lower median of four is 2.
    let losses = try #require(
      StartingLosses(of: rows([[1, 2], [1, 2, 3], [5, 6, 7], [8, 9]]), losses: [1, 3, 5, 2, 2, 3]))
    let weights = [1.0, 4, 2, 3].map { exp(-$0 / 2) }
    let mean = weights.reduce(0, +) / 4
    for (ours, wanted) in zip(losses.rowWeights, weights) {
      #expect(abs(Double(ours) - wanted / mean) < 1e-7)
    }
    let sum = losses.rowWeights.reduce(0, +)
    #expect(abs(sum - 4) < 1e-6)
  }

  @Test func aModelThatKnowsAllHasNoFavourites() throws {
    let losses = try #require(StartingLosses(of: rows([[1, 2], [3, 4]]), losses: [0, 0]))
    #expect(losses.rowWeights == [1, 1])
  }

  @Test func whatIsTooHardIsNotTrainedOn() throws {
    let set = RowSet([
      TokenRow(ids: [1, 2, 3, 4], trained: [2..<4]), TokenRow(ids: [5, 6]), TokenRow(ids: [7, 8, 9]),
    ])
    let limit = Float(log(2.5))
    let losses = try #require(
      StartingLosses(of: set, losses: [limit.nextUp, 0.1, 2, limit.nextDown, 0.5]))
    let masked = losses.masked
    #expect(masked.tokens == 2 && masked.emptyRows == 1)
    #expect(masked.rows.map(\.ids) == [[1, 2, 3, 4], [7, 8, 9]])
    let batch = MicroBatch(rows: Array(masked.rows))
    #expect(batch.labels == [-100, -100, 4, -100, 8, 9, -100])
    #expect(masked.rows.line(of: 1) == 3)
  }

  @Test func otherRowsHaveOtherLosses() {
    #expect(StartingLosses(of: rows([[1, 2]]), losses: [1, 2]) == nil)
  }
}
