import LanguageModel
import NestedLearning

/// Which rows each micro-batch of each step takes: a function of the config and the number of rows alone.
///
/// Row j of micro-batch g of step t has the index i = (t − 1)·B·G + g·B + j, with B rows a micro-batch and G
/// micro-batches a step. In file order it is row i mod n of the n rows; shuffled, it is row π[i mod n], π the
/// random order of epoch ⌊i/n⌋.
public struct StepSampler: Sendable {
  private let rows: [[Int32]]
  private let batchSize: Int
  private let microBatchCount: Int
  private let shuffle: Bool
  private let seed: UInt64
  /// The orders of the last epochs that were asked for: a micro-batch may begin in one and end in the next.
  private var orders: [(epoch: Int, order: [Int])] = []

  /// - Throws: `DataError` if there are no rows.
  public init(rows: [[Int32]], config: NestedLearningConfig) throws(DataError) {
    guard !rows.isEmpty else {
      throw DataError(file: config.trainDataPath, reason: "has no rows to train on", remedy: "give it rows")
    }
    self.rows = rows
    batchSize = max(1, config.batchSize)
    microBatchCount = max(1, config.gradientAccumulationSteps)
    shuffle = config.shuffle
    seed = config.seed
  }

  /// - Parameters:
  ///   - step: 1-based.
  ///   - index: g, from 0.
  public mutating func microBatch(step: Int, index: Int) -> MicroBatch {
    MicroBatch(rows: rowNumbers(step: step, index: index).map { rows[$0] })
  }

  /// Numbers, from 0, of the rows that a micro-batch takes.
  public mutating func rowNumbers(step: Int, index: Int) -> [Int] {
    let first = (step - 1) * batchSize * microBatchCount + index * batchSize
    return (first..<(first + batchSize)).map { rowNumber(at: $0) }
  }

  /// Tokens of a step that have a loss, over all its micro-batches: what its gradients are divided by.
  public mutating func trainedTokens(step: Int) -> Int {
    (0..<microBatchCount).reduce(0) { sum, index in
      rowNumbers(step: step, index: index).reduce(sum) { $0 + max(0, rows[$1].count - 1) }
    }
  }

  /// How often all rows have been taken once step `step` is done: ⌊t·B·G/n⌋, as metrics report it.
  public func epoch(after step: Int) -> Int { step * batchSize * microBatchCount / rows.count }

  private mutating func rowNumber(at index: Int) -> Int {
    let (epoch, place) = index.quotientAndRemainder(dividingBy: rows.count)
    return shuffle ? order(of: epoch)[place] : place
  }

  private mutating func order(of epoch: Int) -> [Int] {
    if let known = orders.first(where: { $0.epoch == epoch }) { return known.order }
    let order = CounterRandom.permutation(count: rows.count, seed: seed, epoch: epoch)
    orders = orders.suffix(1) + [(epoch, order)]
    return order
  }
}
