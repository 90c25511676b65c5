import NestedLearning
import Testing

@testable import Dataset

/// Stages of a curriculum with data and batch sizes of their own.
@Suite struct StageRowsTests {
  /// Rows of as many ids as they are numbered from 1, each of one id.
  private func rows(_ count: Int, id: Int32) -> RowSet {
    RowSet((0..<count).map { TokenRow(ids: [Int32](repeating: id, count: $0 + 2)) })
  }

  private func sampler(_ change: (inout NestedLearningConfig) -> Void = { _ in }) throws -> StepSampler {
    let config = config {
      ($0.batchSize, $0.gradientAccumulationSteps, $0.curriculumStrategy) = (2, 3, .stages)
      $0.samplingDifficulty = .length
      $0.curriculumStages = [
        CurriculumStage(target: 0.5),
        CurriculumStage(range: 0.5...1, target: 0.5, data: [WeightedPath(path: "b")], batchSize: 4),
        CurriculumStage(target: 0.5, batchSize: 1), CurriculumStage(target: 1),
      ]
      change(&$0)
    }
    let (run, own) = (rows(8, id: 1), rows(5, id: 2))
    let traits = try RowTraits(of: run, config: config)
    let stages = [
      1: try StageRows(
        stage: 1, rows: own, config: config, traits: try RowTraits(of: own, config: config)),
      2: try StageRows(stage: 2, rows: run, config: config, traits: traits),
    ]
    return try StepSampler(rows: run, config: config, traits: traits, stages: stages)
  }

  /// Each stage begins after one evaluation: at steps 1, 4, 7 and 10.
  private let evaluations = [3, 6, 9, 12].map { EvaluatedAccuracy(step: $0, correct: 1, tokens: 1) }

  private func batches(_ sampler: StepSampler, step: Int) -> [[StepSampler.Row]] {
    (0..<3).map { sampler.rows(step: step, index: $0, after: evaluations) }
  }

  @Test func rowsAndTheirNumbers() throws {
    let sampler = try sampler()
    for (step, size, stage) in [
      (1, 2, nil), (3, 2, nil), (4, 4, 1), (6, 4, 1), (7, 1, nil), (9, 1, nil), (10, 2, nil),
    ]
      as [(Int, Int, Int?)]
    {
      let batches = batches(sampler, step: step)
      #expect(batches.allSatisfy { $0.count == size && $0.allSatisfy { $0.stage == stage } }, "step \(step)")
      let batch = sampler.microBatch(of: batches[0])
      #expect(Set(batch.tokens) == [stage == 1 ? 2 : 1], "step \(step)")
      #expect(batch.offsets.count == size + 1)
      // A stage's range is of its own rows: three of five lie above .5.
      if stage == 1 { #expect(batches.flatMap { $0 }.allSatisfy { (2...4).contains($0.number) }) }
    }
    // Before any evaluation all steps are of the first stage.
    #expect(sampler.rows(step: 4, index: 0).count == 2)
  }

  /// A stage counts from its first step, wherever that is.
  @Test func countedFromTheFirstStep() throws {
    let sampler = try sampler()
    let later = [8, 13].map { EvaluatedAccuracy(step: $0, correct: 1, tokens: 1) }
    for step in 0..<3 {
      #expect(
        batches(sampler, step: 4 + step)
          == (0..<3).map { sampler.rows(step: 9 + step, index: $0, after: later) })
    }
    // The runs of draws are not those of the run's own rows.
    let plain = (0..<30).map { sampler.rows(step: $0 / 3 + 1, index: $0 % 3).map(\.number) }
    let staged = (0..<30).map { sampler.rows(step: $0 / 3 + 14, index: $0 % 3, after: later).map(\.number) }
    #expect(plain.map { $0[0] } != staged.map { $0[0] })
  }

  @Test func whatTheMetricsSay() throws {
    let sampler = try sampler()
    let seen = [3, 4, 5, 7, 10].map { sampler.sampling(step: $0, after: evaluations) }
    #expect(seen.map { $0?.stage } == [0, 1, 1, 2, 3])
    // 12 rows a step of 5; 3 rows a step of 8; by the run's own count.
    #expect(seen.map { $0?.epoch } == [nil, 12 / 5, 24 / 5, 3 / 8, nil])
    #expect((seen[1]?.difficulty ?? 0) >= 0.5 && seen[1]?.threshold == 1)
  }

  @Test func noRows() throws {
    let config = config {
      $0.curriculumStages = [CurriculumStage(target: 1, data: [WeightedPath(path: "b.jsonl")])]
    }
    let error = #expect(throws: DataError.self) {
      try StageRows(stage: 0, rows: RowSet([TokenRow]()), config: config, traits: RowTraits())
    }
    #expect(error?.description.contains("b.jsonl") == true && error?.key == "curriculum_stages")
  }
}
