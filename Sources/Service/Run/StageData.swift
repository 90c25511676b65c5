import Dataset
import NestedLearning

/// What the stages of a run's curriculum take rows from, where it is not the run's training data alone.
struct StageData {
  /// By stage, of those that have data of their own.
  private(set) var data: [Int: TrainingData] = [:]

  /// - Parameter read: reads what a config names.
  init(_ config: NestedLearningConfig, read: (NestedLearningConfig) throws -> TrainingData) rethrows {
    for (stage, own) in config.curriculumStages.enumerated() where !own.data.isEmpty {
      data[stage] = try read(config.ofStage(stage))
    }
  }

  /// Ascending by stage.
  private var inOrder: [(stage: Int, data: TrainingData)] {
    data.sorted { $0.key < $1.key }.map { (stage: $0.key, data: $0.value) }
  }

  var hasConversations: Bool { data.values.contains(where: \.hasConversations) }

  /// For a person.
  func summary(_ config: NestedLearningConfig) -> [String] {
    config.curriculumStages.enumerated().flatMap { stage, own -> [String] in
      var lines: [String] = []
      if let data = data[stage] {
        lines = data.reports.train.flatMap { [$0.overview] + $0.remarks }.map { "stage \(stage): \($0)" }
      }
      if let periods = own.frequencies {
        let list = periods.map(String.init).joined(separator: ", ")
        lines.append("stage \(stage): periods \(list), each once its tier's window is closed")
      }
      if let size = own.batchSize {
        lines.append("stage \(stage): micro-batches of \(size) row\(size == 1 ? "" : "s")")
      }
      return lines
    }
  }

  /// - Throws: `ServiceError` for a token without a row in the embedding.
  func check(_ rows: EmbeddingRows) throws { for entry in inOrder { try rows.check(entry.data) } }

  /// The rows of stages that have data, or a batch size, of their own.
  ///
  /// - Parameters:
  ///   - run: the run's own rows, with what is known of them.
  ///   - confidences: of a stage's data, as its config asks for them.
  func rows(
    _ config: NestedLearningConfig, run: (rows: RowSet, traits: RowTraits),
    confidences: (NestedLearningConfig, RowSet) throws -> [Double]
  ) throws -> [Int: StageRows] {
    var rows: [Int: StageRows] = [:]
    for (stage, own) in config.curriculumStages.enumerated() where own.hasOwnRows {
      guard let set = data[stage]?.train else {
        rows[stage] = try StageRows(stage: stage, rows: run.rows, config: config, traits: run.traits)
        continue
      }
      let staged = config.ofStage(stage)
      let traits = try RowTraits(of: set, config: staged, confidences: confidences(staged, set))
      rows[stage] = try StageRows(stage: stage, rows: set, config: config, traits: traits)
    }
    return rows
  }
}
