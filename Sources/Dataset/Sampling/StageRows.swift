import NestedLearning

/// Rows of a stage of a curriculum that has data of its own, or takes other numbers of rows: an order of its own, counted
/// from the first step of the stage on.
///
/// Row j of micro-batch g of the stage's step t has the number (t − 1)·B·G + g·B + j there, with the stage's own B, and its
/// draws have a seed of their own.
public struct StageRows: Sendable {
  let rows: RowSet
  /// Whether they are others than the run's.
  let isOfOtherData: Bool
  let difficulties: [Double]?
  private let turns: RowTurns
  private let batchSize: Int

  /// - Parameters:
  ///   - stage: its number, from 0.
  ///   - rows: its own, or the run's.
  ///   - traits: of these rows, as the config asks for them.
  /// - Throws: `DataError` if there are no rows, or none that may be taken.
  public init(
    stage: Int, rows: RowSet, config: NestedLearningConfig, traits: RowTraits
  ) throws(DataError) {
    var own = config.ofStage(stage)
    guard !rows.isEmpty else {
      throw DataError(
        file: own.trainDataPath, key: "curriculum_stages", reason: "has no rows to train on",
        remedy: "give it rows")
    }
    own.seed = config.seed ^ UInt64(stage + 1) << 40
    self.rows = rows
    isOfOtherData =
      config.curriculumStages.indices.contains(stage) && !config.curriculumStages[stage].data.isEmpty
    difficulties = traits.difficulties
    turns = RowTurns(rows, try traits.sampler(of: rows, own), own)
    batchSize = max(1, own.batchSize)
  }

  /// Numbers of the rows of a micro-batch.
  ///
  /// - Parameter turn: its number among those of the stage, from 0.
  func numbers(turn: Int, in range: ClosedRange<Double>?) -> [Int] {
    turns.numbers(turn * batchSize..<(turn + 1) * batchSize, in: range)
  }

  /// ⌊rows taken / rows⌋ after so many micro-batches of the stage.
  func epoch(after turns: Int) -> Int { turns * batchSize / max(1, rows.count) }
}
