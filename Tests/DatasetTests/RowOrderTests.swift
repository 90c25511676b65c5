import NestedLearning
import Randomness
import Testing

@testable import Dataset

@Suite struct RowOrderTests {
  private func rows(_ sizes: [(count: Int, weight: Double)]) -> RowSet {
    var next: Int32 = 0
    return RowSet(
      joining: sizes.map { size in
        let rows = (0..<size.count).map { _ in
          defer { next += 1 }
          return TokenRow(ids: [next, next])
        }
        return RowSet(rows).weighted(size.weight)
      })
  }

  /// The definition, counted: in each epoch every row of a file comes ⌊m/n⌋ times or once more, m = round(w·n), and over
  /// any epochs from the start no row has had two more than another of its file.
  @Test(arguments: [true, false]) func weightsShareOutFairly(shuffle: Bool) throws {
    let order = try RowOrder(
      rows: rows([(10, 2.3), (7, 0.5), (4, 1), (3, 0.1)]), shuffle: shuffle, seed: 3)
    #expect(order.count == 23 + 4 + 4 + 1)
    var taken = [Int](repeating: 0, count: 24)
    for epoch in 0..<20 {
      var now = [Int](repeating: 0, count: 24)
      for place in 0..<order.count { now[order.row(at: epoch * order.count + place)] += 1 }
      #expect(now[0..<10].allSatisfy { $0 == 2 || $0 == 3 } && now[0..<10].reduce(0, +) == 23)
      #expect(now[10..<17].reduce(0, +) == 4 && now[17..<21].allSatisfy { $0 == 1 })
      #expect(now[21..<24].reduce(0, +) == 1)
      for row in 0..<24 { taken[row] += now[row] }
      for file in [0..<10, 10..<17, 21..<24] {
        #expect((taken[file].max() ?? 0) - (taken[file].min() ?? 0) <= 1, "epoch \(epoch)")
      }
    }
  }

  /// Whole weights repeat a file; not shuffled, files follow each other.
  @Test func fileOrderIsThatOfTheList() throws {
    let order = try RowOrder(rows: rows([(3, 2), (2, 1.5)]), shuffle: false, seed: 3)
    #expect((0..<18).map(order.row) == [0, 1, 2, 0, 1, 2, 3, 4, 3, 0, 1, 2, 0, 1, 2, 3, 4, 4])
  }

  /// Without weights the order is that of one file with all rows.
  @Test func weightsOfOneChangeNothing() throws {
    let one = try RowOrder(rows: rows([(31, 1)]), shuffle: true, seed: 9)
    let several = try RowOrder(rows: rows([(10, 1), (20, 1), (1, 1)]), shuffle: true, seed: 9)
    #expect((0..<100).map(one.row) == (0..<100).map(several.row))
    let permutation = CounterRandom.permutation(count: 31, seed: 9, epoch: 1)
    #expect((31..<62).map(one.row) == permutation)
  }

  /// Any place, asked for in any order, after any others.
  @Test func placesAreAFunctionOfTheConfig() throws {
    let set = rows([(11, 1.7), (5, 0.3)])
    let order = try RowOrder(rows: set, shuffle: true, seed: 1)
    let all = (0..<400).map(order.row)
    let again = try RowOrder(rows: set, shuffle: true, seed: 1)
    for place in stride(from: 399, through: 0, by: -37) { #expect(again.row(at: place) == all[place]) }
  }
}

@Suite struct PackIndexTests {
  /// Next-fit, written out.
  private func packs(_ lengths: [Int], _ room: Int, _ count: Int) -> [Range<Int>] {
    var (packs, place): ([Range<Int>], Int) = ([], 0)
    while packs.count < count {
      var (end, sum) = (place, 0)
      while sum + lengths[end % lengths.count] <= room {
        sum += lengths[end % lengths.count]
        end += 1
      }
      packs.append(place..<end)
      place = end
    }
    return packs
  }

  @Test func packsAreThoseOfNextFit() {
    var random = CounterRandom(seed: 11, purpose: .probe)
    for _ in 0..<20 {
      let lengths = (0..<(1 + random.integer(below: 40))).map { _ in 2 + random.integer(below: 15) }
      let index = PackIndex(maxLength: 16) { lengths[$0 % lengths.count] }
      let expected = packs(lengths, 16, 9000)
      for pack in [0, 1, 5, 8999, 4095, 4096, 4097, 8191, 8192, 17, 8999, 3] {
        #expect(index.places(ofPacks: pack..<(pack + 1)) == expected[pack])
      }
      #expect(index.places(ofPacks: 3..<6) == expected[3].lowerBound..<expected[5].upperBound)
    }
  }

  private func sampler(_ lengths: [Int], room: Int) throws -> StepSampler {
    try StepSampler(
      rows: RowSet(lengths.enumerated().map { TokenRow(ids: [Int32](repeating: Int32($0), count: $1)) }),
      config: config {
        $0.packing = true
        $0.maxSeqLength = room
        $0.batchSize = 2
        $0.gradientAccumulationSteps = 2
        $0.shuffle = false
      })
  }

  /// batch_size counts packs; each row begins anew, so its first token is not predicted.
  @Test func microBatchesTakePacks() throws {
    let sampler = try sampler([3, 4, 5, 2, 6, 3], room: 8)
    // Packs: 3 4 | 5 2 | 6 | 3 3 | 4 | 5 2 | 6 | 3 3 …, one that reaches into the next epoch among them.
    #expect(sampler.rowNumbers(step: 1, index: 0) == [0, 1, 2, 3])
    #expect(sampler.rowNumbers(step: 1, index: 1) == [4, 5, 0])
    #expect(sampler.rowNumbers(step: 2, index: 0) == [1, 2, 3])
    let batch = sampler.microBatch(step: 1, index: 0)
    #expect(batch.offsets == [0, 3, 7, 12, 14])
    #expect(batch.trainedTokens == 2 + 3 + 4 + 1)
    #expect(sampler.trainedTokens(step: 1) == 2 + 3 + 4 + 1 + 5 + 2 + 2)
    #expect((1...3).map(sampler.epoch) == [1, 2, 3])
  }

  @Test func evaluationsArePackedToo() {
    let rows = RowSet([3, 4, 5, 2, 6].map { TokenRow(ids: [Int32](repeating: 1, count: $0)) })
    func ranges(_ size: Int, _ room: Int?) -> [Range<Int>] {
      let batches = EvaluationBatches(rows: rows, batchSize: size, packLength: room)
      return batches.indices.map(batches.rowNumbers)
    }
    #expect(ranges(1, 8) == [0..<2, 2..<4, 4..<5])
    #expect(ranges(2, 8) == [0..<4, 4..<5])
    #expect(ranges(2, nil) == [0..<2, 2..<4, 4..<5])
    #expect(ranges(9, 6) == [0..<5])
    let batches = EvaluationBatches(rows: rows, batchSize: 2, packLength: 8)
    #expect(batches.indices.map(batches.trainedTokens) == batches.map(\.trainedTokens))
    #expect(EvaluationBatches(rows: RowSet([TokenRow]()), batchSize: 2, packLength: 8).isEmpty)
  }
}
