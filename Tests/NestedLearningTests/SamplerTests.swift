import Randomness
import Testing

@testable import NestedLearning

/// Draws: what may be drawn, how often, and that a draw is a function of its number alone.
@Suite struct SamplerTests {
  private let difficulties = (0..<50).map { Double(($0 * 7) % 50) / 49 }

  @Test func onlyWhatIsInRange() throws {
    let samplers: [any RowSampler] = [
      UniformSampler(difficulties: difficulties, seed: 1),
      try ImportanceSampler(weights: (0..<50).map { $0 + 1 }, difficulties: difficulties, seed: 1),
      BalancedSampler(labels: (0..<50).map { "\($0 % 2)" }, difficulties: difficulties, seed: 1),
    ]
    for sampler in samplers {
      for range in [0...0.2, 0.3...0.7, 0.9...1, 0...1] {
        let rows = (0..<2000).map { sampler.row(at: $0, in: range) }
        #expect(rows.allSatisfy { range.contains(difficulties[$0]) })
        // Each has its turn.
        #expect(Set(rows).count == difficulties.count { range.contains($0) })
        // Any draw by itself, in any order.
        for draw in [1999, 3, 700] { #expect(sampler.row(at: draw, in: range) == rows[draw]) }
      }
      // Nothing is there: the nearest above, and at the end the hardest.
      #expect(difficulties[sampler.row(at: 5, in: 0.501...0.502)] > 0.5)
    }
  }

  /// A curriculum below all rows takes the easiest ones, not none.
  @Test func theEasiestWhereNothingIsEasyEnough() {
    let order = DifficultyOrder([0.5, 0.25, 0.25, 0.75])
    #expect(order.rows == [1, 2, 0, 3])
    #expect(order.places(in: 0...0.01) == 0..<2 && order.places(in: 0.9...1) == 3..<4)
    #expect(order.places(in: 0.25...0.5) == 0..<3 && order.places(in: 0.3...0.4) == 2..<3)
  }

  /// χ² of 40,000 draws by weights, with 5 degrees of freedom: above 25.7 once in 10,000 seeds.
  @Test func importanceIsByWeight() throws {
    let weights = [1, 0, 2, 3, 10, 4, 20]
    var sampler = try ImportanceSampler(weights: weights, seed: 7)
    func counts() -> [Int] {
      var counts = [Int](repeating: 0, count: weights.count)
      for draw in 0..<40_000 { counts[sampler.row(at: draw, in: nil)] += 1 }
      return counts
    }
    func chiSquare(_ counts: [Int], _ weights: [Int]) -> Double {
      let total = Double(weights.reduce(0, +))
      return zip(counts, weights).reduce(0) { sum, pair in
        guard pair.1 > 0 else { return sum + (pair.0 == 0 ? 0 : .infinity) }
        let expected = 40_000 * Double(pair.1) / total
        return sum + (Double(pair.0) - expected) * (Double(pair.0) - expected) / expected
      }
    }
    #expect(chiSquare(counts(), weights) < 25.7)
    let others = [5, 5, 5, 1, 1, 1, 0]
    try sampler.updateWeights(others)
    #expect(chiSquare(counts(), others) < 25.7)
    // What cannot be drawn by changes nothing.
    let before = sampler.row(at: 3, in: nil)
    for wrong in [[0, 0, 0, 0, 0, 0, 0], [1, 1], [1, 1, 1, 1, 1, 1, -1], [Int.max, 1, 0, 0, 0, 0, 0]] {
      #expect(throws: SamplingError.self) { try sampler.updateWeights(wrong) }
    }
    #expect(sampler.row(at: 3, in: nil) == before)
  }

  /// Two weights whose sum is 3·2⁶²: a plain remainder of 64 bits would give the first of three equal thirds half of all.
  @Test func noBiasByTheRemainder() throws {
    let third = 1 << 61
    let sampler = try ImportanceSampler(weights: [third, third, third], seed: 3)
    var counts = [0, 0, 0]
    for draw in 0..<30_000 { counts[sampler.row(at: draw, in: nil)] += 1 }
    // Five standard deviations.
    #expect(counts.allSatisfy { abs($0 - 10_000) < 409 })
  }

  /// As the words of the counter say, walked by hand.
  @Test func drawsAreCounterBased() throws {
    let weights = [3, 1, 4, 1, 5]
    let sampler = try ImportanceSampler(weights: weights, seed: 42)
    for draw in 0..<200 {
      var random = CounterRandom(seed: 42, purpose: .rowDraw, UInt64(draw))
      var number = random.integer(below: 14)
      var row = 0
      while number >= weights[row] {
        number -= weights[row]
        row += 1
      }
      #expect(sampler.row(at: draw, in: nil) == row)
    }
  }

  @Test func balanced() {
    let labels = (0..<20).map { $0 < 12 ? "b" : $0 < 17 ? "a" : "ä" }
    let sampler = BalancedSampler(labels: labels, seed: 5)
    let rows = (0..<60).map { sampler.row(at: $0, in: nil) }
    for (name, number) in [("a", 0), ("b", 1), ("ä", 2)] {
      let own = rows.enumerated().filter { $0.offset % 3 == number }.map(\.element)
      #expect(own.allSatisfy { labels[$0] == name })
      // Each of its rows once before any comes again.
      let size = labels.count { $0 == name }
      for start in stride(from: 0, to: own.count - size + 1, by: size) {
        #expect(Set(own[start..<start + size]).count == size)
      }
    }
  }

  @Test(arguments: LengthMode.allCases) func batchesOfSimilarLength(mode: LengthMode) {
    let lengths = (0..<100).map { 10 + ($0 * 37) % 90 }
    let batches = LengthBatches(lengths: lengths, batchSize: 8, tolerance: 0.25, mode: mode, seed: 9)
    for pass in 0..<3 {
      let all = (0..<batches.count).map { batches.batch(at: pass * batches.count + $0) }
      #expect(all.flatMap(\.self).sorted() == Array(0..<100))
      for batch in all {
        let own = batch.map { lengths[$0] }
        #expect(batch.count <= 8 && Double(own.max() ?? 0) <= Double(own.min() ?? 0) * 1.25)
      }
      let longest = all.map { $0.map { lengths[$0] }.max() ?? 0 }
      switch mode {
      case .uniform: #expect(longest != longest.sorted())
      case .progressive:
        // Bands ascend; within one the order is random.
        #expect(zip(all, all.dropFirst()).allSatisfy { lengths[$0[0]] <= Int(Double(lengths[$1[0]]) * 1.25) })
        #expect((longest.last ?? 0) > longest[0])
      case .mixed:
        let even = longest.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
        let odd = longest.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        #expect(zip(even, odd).prefix(3).allSatisfy { $0 < $1 })
      }
    }
    #expect(batches.batch(at: 0) != batches.batch(at: batches.count))
    #expect(batches.batch(at: 17) == batches.batch(at: 17))
  }

  /// A batch has as many domains as there are rows of them left.
  @Test func domainsTakeTurns() {
    let domains = (0..<40).map { $0 < 20 ? "a" : $0 < 32 ? "b" : "c" }
    let batches = LengthBatches(
      lengths: [Int](repeating: 5, count: 40), domains: domains, batchSize: 3, tolerance: 0,
      mode: .progressive,
      seed: 2)
    for number in 0..<8 { #expect(Set(batches.batch(at: number).map { domains[$0] }).count == 3) }
    #expect((0..<batches.count).flatMap { batches.batch(at: $0) }.sorted() == Array(0..<40))
  }

  @Test func curriculumLoader() throws {
    var loader = createCurriculumDataloader(
      difficulties: difficulties, strategy: try AdaptiveCompetence(initial: 0.2, patience: 1), batchSize: 64,
      seed: 4)
    func hardest(_ step: Int) -> Double { loader.batch(at: step).map { difficulties[$0] }.max() ?? 0 }
    #expect(
      hardest(1) <= 0.2 && loader.batch(at: 1).count == 64 && loader.batch(at: 1) != loader.batch(at: 2))
    for _ in 0..<8 { loader.update(accuracy: 0.9) }
    #expect(hardest(3) > 0.8)
    let ranked = createCurriculumDataloader(
      difficulties: difficulties.map { $0 * 1000 }, strategy: try CompetencePacing(.linear, steps: 10),
      batchSize: 9,
      seed: 4)
    #expect(Set(ranked.batch(at: 1)).count == 1 && Set(ranked.batch(at: 11)).count > 1)
  }

  @Test func stagedLoaders() throws {
    var loader = try StagedDataLoader([
      .init(name: "short", sampler: ShuffleSampler(rows: [0, 1, 2], seed: 1), batchSize: 3),
      .init(
        name: "hard", sampler: UniformSampler(difficulties: difficulties, seed: 1), batchSize: 5,
        range: 0.8...1),
    ])
    #expect(loader.currentLoader.name == "short" && loader.currentLoader.batch(at: 1).sorted() == [0, 1, 2])
    #expect(loader.advanceStage() && loader.stage == 1)
    #expect(loader.currentLoader.batch(at: 2).count == 5)
    #expect(loader.currentLoader.batch(at: 2).allSatisfy { difficulties[$0] >= 0.8 })
    #expect(!loader.advanceStage() && loader.stage == 1)
    #expect(throws: SamplingError.self) { try StagedDataLoader([]) }
  }
}
