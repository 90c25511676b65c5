import Foundation
import NestedLearning
import Testing

@testable import Dataset

/// What rows say of themselves beyond their text, and how they are taken by it.
@Suite struct RowTraitsTests {
  private func traits(
    _ content: String, _ change: @escaping (inout NestedLearningConfig) -> Void
  ) throws -> (RowTraits, RowSet, String) {
    try withFile(content) { path in
      let rows = try TokenRows(
        file: path, encoder: ByteEncoder(), maxLength: 8, skipUnusable: true, longRows: .split
      ).rows
      return (try RowTraits(of: rows, config: config(change)), rows, path)
    }
  }

  private func failure(_ content: String, _ change: @escaping (inout NestedLearningConfig) -> Void)
    -> DataError?
  {
    #expect(throws: DataError.self) { try traits(content, change) }
  }

  private func byWeight(_ config: inout NestedLearningConfig) {
    config.samplingMode = .importance
    config.samplingWeightField = "w"
  }

  private func byLabel(_ config: inout NestedLearningConfig) {
    config.samplingMode = .balanced
    config.samplingBalanceField = "label"
  }

  /// Rows that are split have their line's value in each part; those that are left out have none.
  @Test func valuesFollowTheirRows() throws {
    let content = """
      {"text": "ab", "w": 3}
      {"text": "", "w": 9}
      {"text": "abcdefghijklmnop", "w": 5}

      {"text": "cd", "w": 0}

      """
    let (traits, rows, _) = try traits(content, byWeight)
    #expect(rows.map(\.count) == [3, 8, 8, 3] && traits.weights == [3, 5, 5, 0])
    let (labels, _, _) = try self.traits(
      #"{"text": "ab", "label": 3}\#n{"text": "cd", "label": "x"}\#n{"text": "cd", "label": true}"#, byLabel)
    #expect(labels.labels == ["3", "x", "true"])
    // A table has texts alone.
    let (table, _, _) = try self.traits("text,w\nab,7\ncd,0\n", byWeight)
    #expect(table.weights == [7, 0])
  }

  @Test func aRowThatLacksItIsNamed() throws {
    let rows = #"{"text": "ab", "w": 3}\#n{"text": "cd"}\#n"#
    let error = try #require(failure(rows, byWeight))
    #expect(error.line == 2 && error.key == "w" && error.description.contains("sampling_weight_field"))
    for wrong in ["-1", "1.5", "\"x\"", "null", "[1]", "4294967296"] {
      let error = failure(#"{"text": "ab", "w": 3}\#n{"text": "cd", "w": \#(wrong)}\#n"#, byWeight)
      #expect(error?.line == 2 && error?.key == "w", "\(wrong)")
    }
    let label = failure(#"{"text": "ab", "label": {}}"#, byLabel)
    #expect(label?.line == 1 && label?.key == "label")
  }

  @Test func noRowToDraw() throws {
    let (traits, rows, _) = try traits(#"{"text": "ab", "w": 0}\#n{"text": "cd", "w": 0}"#, byWeight)
    #expect(throws: DataError.self) { try StepSampler(rows: rows, config: config(byWeight), traits: traits) }
    func narrow(_ config: inout NestedLearningConfig) {
      config.samplingMode = .difficulty
      config.samplingDifficulty = .length
      config.samplingRange = 0.4...0.5
    }
    let (lengths, few, _) = try self.traits(#"{"text": "ab"}\#n{"text": "abcd"}"#, narrow)
    let error = #expect(throws: DataError.self) {
      try StepSampler(rows: few, config: config(narrow), traits: lengths)
    }
    #expect(error?.key == "sampling_range")
  }

  /// Row n has n + 2 ids.
  private func rows(_ count: Int) -> RowSet {
    RowSet((0..<count).map { TokenRow(ids: [Int32](repeating: Int32($0), count: $0 + 2)) })
  }

  @Test func aRangeOfDifficulties() throws {
    let config = config {
      $0.samplingMode = .difficulty
      $0.samplingDifficulty = .length
      $0.samplingRange = 0.5...1
      $0.batchSize = 6
      $0.gradientAccumulationSteps = 1
    }
    let traits = try RowTraits(of: rows(11), config: config)
    let sampler = try StepSampler(rows: rows(11), config: config, traits: traits)
    for step in 1...4 { #expect(sampler.rowNumbers(step: step, index: 0).sorted() == [5, 6, 7, 8, 9, 10]) }
    #expect(sampler.epoch(after: 3) == 3)
    let sampling = try #require(sampler.sampling(step: 1, after: []))
    #expect(abs((sampling.difficulty ?? 0) - 0.75) < 1e-12 && sampling.threshold == nil)
  }

  /// Stages: what is drawn before a step is by the evaluations before it, with rehearsed rows among them untouched.
  @Test func stagesFollowEvaluations() throws {
    let config = config {
      $0.curriculumStrategy = .stages
      $0.samplingDifficulty = .length
      $0.batchSize = 4
      $0.gradientAccumulationSteps = 4
      $0.replayFraction = 0.25
    }
    let traits = try RowTraits(of: rows(101), config: config)
    let sampler = try StepSampler(rows: rows(101), replay: rows(3), config: config, traits: traits)
    let evaluations = [2, 4].map { EvaluatedAccuracy(step: $0, correct: 9, tokens: 10) }
    func range(_ step: Int) -> ClosedRange<Double> {
      let taken = (0..<4).flatMap { sampler.rows(step: step, index: $0, after: evaluations) }
      #expect(taken.count { $0.isReplayed } == 4)
      let own = taken.filter { !$0.isReplayed }.map { Double($0.number) / 100 }
      return (own.min() ?? 0)...(own.max() ?? 0)
    }
    for (step, allowed, stage) in [
      (1, 0...0.3, 0), (2, 0...0.3, 0), (3, 0.3...0.7, 1), (4, 0.3...0.7, 1), (5, 0.7...1, 2),
    ] {
      let range = range(step)
      #expect(allowed.contains(range.lowerBound) && allowed.contains(range.upperBound), "step \(step)")
      let sampling = try #require(sampler.sampling(step: step, after: evaluations))
      #expect(sampling.stage == stage && sampling.threshold == allowed.upperBound)
      #expect(allowed.contains(sampling.difficulty ?? -1))
    }
    // Later evaluations change nothing of an earlier step.
    #expect(
      sampler.rows(step: 4, index: 1, after: evaluations)
        == sampler.rows(step: 4, index: 1, after: Array(evaluations.prefix(1))))
  }

  /// Ranks where a curriculum goes by these: c₀ = .25 of 8 rows are the two easiest.
  @Test func ranksOfRows() throws {
    let config = config {
      $0.curriculumStrategy = .competenceSqrt
      $0.curriculumInitial = 0.25
      $0.curriculumSteps = 100
      $0.samplingDifficulty = .length
      $0.batchSize = 64
      $0.gradientAccumulationSteps = 1
    }
    let traits = try RowTraits(of: rows(8), config: config)
    #expect(traits.difficulties == (1...8).map { Double($0) / 8 })
    let sampler = try StepSampler(rows: rows(8), config: config, traits: traits)
    #expect(Set(sampler.rowNumbers(step: 1, index: 0)) == [0, 1])
    #expect(Set(sampler.rowNumbers(step: 101, index: 0)) == Set(0..<8))
  }

  @Test func lengthBatchesAreMicroBatches() throws {
    let config = config {
      $0.samplingMode = .length
      $0.samplingLengthTolerance = 0.5
      $0.samplingLengthMode = .progressive
      $0.batchSize = 3
      $0.gradientAccumulationSteps = 2
    }
    let set = rows(10)
    let sampler = try StepSampler(rows: set, config: config, traits: RowTraits(of: set, config: config))
    // Bands of 2–3, 4–6, 7–10 and 11 tokens, in batches of three.
    let taken = (1...3).flatMap { step in (0..<2).map { sampler.rowNumbers(step: step, index: $0) } }
    #expect(taken.map(\.count) == [2, 3, 3, 1, 1, 2])
    #expect(taken.prefix(5).flatMap(\.self).sorted() == Array(0..<10))
    #expect(sampler.epoch(after: 2) == 0 && sampler.epoch(after: 3) == 1)
    #expect(
      sampler.trainedTokens(step: 1) == taken[0].reduce(0) { $0 + $1 + 1 }
        + taken[1].reduce(0) { $0 + $1 + 1 })
  }

  /// Mean of e^(−loss) over a row's trained tokens; a row that stm empties takes its confidence along.
  @Test func confidences() throws {
    let set = RowSet([
      TokenRow(ids: [1, 2, 3, 4], trained: [2..<4]), TokenRow(ids: [5, 6]), TokenRow(ids: [7, 8, 9]),
    ])
    let losses = try #require(StartingLosses(of: set, losses: [0.5, 0.1, 2, 0.25, 0.5]))
    let expected = [(exp(-0.5) + exp(-0.1)) / 2, exp(-2), (exp(-0.25) + exp(-0.5)) / 2]
    for (ours, wanted) in zip(losses.confidences, expected) { #expect(abs(ours - wanted) < 1e-8) }
    #expect(losses.masked.numbers == [0, 2])
  }
}
