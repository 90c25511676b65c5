import NestedLearning
import Randomness
import Testing

@testable import Dataset

@Suite struct StepSamplerTests {
  private func sampler(rows: Int, batch: Int, microBatches: Int, shuffle: Bool, seed: UInt64 = 42) throws
    -> StepSampler
  {
    try StepSampler(
      // Row n has n + 2 ids, so that its length tells which it is.
      rows: RowSet((0..<rows).map { TokenRow(ids: [Int32](repeating: Int32($0), count: $0 + 2)) }),
      config: config {
        $0.batchSize = batch
        $0.gradientAccumulationSteps = microBatches
        $0.shuffle = shuffle
        $0.seed = seed
      })
  }

  @Test func unshuffledRowsComeInFileOrderAndWrapRound() throws {
    let sampler = try sampler(rows: 5, batch: 2, microBatches: 3, shuffle: false)
    let numbers = (1...2).flatMap { step in (0..<3).map { sampler.rowNumbers(step: step, index: $0) } }
    #expect(numbers == [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4], [0, 1]])
    let batch = sampler.microBatch(step: 1, index: 2)
    #expect(batch.tokens == [4, 4, 4, 4, 4, 4, 0, 0])
    #expect(batch.offsets == [0, 6, 8])
    #expect(batch.labels == [4, 4, 4, 4, 4, -100, 0, -100])
    #expect(sampler.trainedTokens(step: 1) == (1 + 2) + (3 + 4) + (5 + 1))
  }

  /// The rule with the permutations that `CounterRandom`'s own tests hold to a reference.
  @Test func shuffledRowsFollowEachEpochsOrder() throws {
    let sampler = try sampler(rows: 7, batch: 2, microBatches: 2, shuffle: true)
    let orders = (0..<4).map { CounterRandom.permutation(count: 7, seed: 42, epoch: $0) }
    #expect(Set(orders).count == 4)
    let taken = (1...7).flatMap { step in (0..<2).flatMap { sampler.rowNumbers(step: step, index: $0) } }
    #expect(taken == orders.flatMap(\.self))
    // Any step can be asked for again, in any order.
    for step in [7, 1, 4, 2] {
      let rows = (0..<2).flatMap { sampler.rowNumbers(step: step, index: $0) }
      #expect(rows == Array(taken[(step * 4 - 4)..<(step * 4)]))
    }
  }

  @Test func anotherSeedIsAnotherOrder() throws {
    let one = try sampler(rows: 20, batch: 20, microBatches: 1, shuffle: true)
    let other = try sampler(rows: 20, batch: 20, microBatches: 1, shuffle: true, seed: 43)
    #expect(one.rowNumbers(step: 1, index: 0) != other.rowNumbers(step: 1, index: 0))
    #expect(one.rowNumbers(step: 1, index: 0).sorted() == Array(0..<20))
  }

  @Test func epochsAreWholePassesOverTheRows() throws {
    let sampler = try sampler(rows: 10, batch: 2, microBatches: 2, shuffle: true)
    #expect((1...6).map(sampler.epoch) == [0, 0, 1, 1, 2, 2])
  }

  @Test func oneRowIsEnough() throws {
    let sampler = try sampler(rows: 1, batch: 3, microBatches: 2, shuffle: true)
    #expect(sampler.rowNumbers(step: 1_000_000_000, index: 1) == [0, 0, 0])
    #expect(throws: DataError.self) { try StepSampler(rows: RowSet([TokenRow]()), config: config()) }
  }
}
