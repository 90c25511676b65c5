import LanguageModel
import NestedLearning

/// Which rows each micro-batch of each step takes: a function of the config and the data alone.
///
/// Row j of micro-batch g of step t has the index i = (t − 1)·B·G + g·B + j in the order of the rows (`RowOrder`), with
/// B rows a micro-batch and G micro-batches a step. With packing the same holds of packs (`PackIndex`).
public struct StepSampler: Sendable {
  private let rows: RowSet
  private let order: RowOrder
  /// nil: one row by itself.
  private let packs: PackIndex?
  private let batchSize: Int
  private let microBatchCount: Int

  /// - Throws: `DataError` if there are no rows.
  public init(rows: RowSet, config: NestedLearningConfig) throws(DataError) {
    guard !rows.isEmpty else {
      throw DataError(file: config.trainDataPath, reason: "has no rows to train on", remedy: "give it rows")
    }
    self.rows = rows
    let order = try RowOrder(rows: rows, shuffle: config.shuffle, seed: config.seed)
    self.order = order
    packs =
      config.packing
      ? PackIndex(maxLength: config.maxSeqLength) { rows.length(of: order.row(at: $0)) } : nil
    batchSize = max(1, config.batchSize)
    microBatchCount = max(1, config.gradientAccumulationSteps)
  }

  /// - Parameters:
  ///   - step: 1-based.
  ///   - index: g, from 0.
  public func microBatch(step: Int, index: Int) -> MicroBatch {
    MicroBatch(rows: rowNumbers(step: step, index: index).map { rows[$0] })
  }

  /// Numbers, from 0, of the rows that a micro-batch takes.
  public func rowNumbers(step: Int, index: Int) -> [Int] {
    let first = ((step - 1) * microBatchCount + index) * batchSize
    let places = packs.map { $0.places(ofPacks: first..<(first + batchSize)) } ?? first..<(first + batchSize)
    return places.map(order.row)
  }

  /// Tokens of a step that have a loss, over all its micro-batches: what its gradients are divided by.
  public func trainedTokens(step: Int) -> Int {
    (0..<microBatchCount).reduce(0) { sum, index in
      rowNumbers(step: step, index: index).reduce(sum) { $0 + rows.trainedCount(of: $1) }
    }
  }

  /// How often all rows have been taken once step `step` is done, as metrics report it: ⌊rows taken / rows of an epoch⌋.
  public func epoch(after step: Int) -> Int {
    let taken = step * batchSize * microBatchCount
    return (packs?.places(ofPacks: taken..<taken).lowerBound ?? taken) / order.count
  }
}
