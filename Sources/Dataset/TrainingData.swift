import LanguageModel
import NestedLearning

/// The rows of a run: those it trains on and those it is evaluated on.
public struct TrainingData: Sendable {
  public let train: [[Int32]]
  public let validation: [[Int32]]
  /// Rows that were left out, by file; only with `skip_unusable_rows`.
  public let skipped: [SkippedRows]
  /// What became of rows that are too long, of the file of rows to train on and of that of rows to evaluate on; the same
  /// twice if both are of one file.
  public let longRows: (train: LongRowCounts, validation: LongRowCounts)

  public struct SkippedRows: Sendable, Equatable {
    public let file: String
    /// 1-based.
    public let lines: [Int]
  }

  /// Reads the files that a config names. Its paths must be ready to be opened.
  ///
  /// - Throws: `DataError` with file, line and key.
  public init(config: NestedLearningConfig, encoder: some TextEncoder) throws {
    func read(_ file: String) throws -> TokenRows {
      try TokenRows(
        file: file, encoder: encoder, maxLength: config.maxSeqLength, skipUnusable: config.skipUnusableRows,
        longRows: config.longRows)
    }
    let rows = try read(config.trainDataPath)
    let validationRows = try config.valDataPath.map(read)
    if let validationRows {
      train = rows.rows
      validation = validationRows.rows
    } else {
      (train, validation) = try Self.split(rows)
    }
    longRows = (rows.long, validationRows?.long ?? rows.long)
    skipped = [rows, validationRows].compactMap(\.self).filter { !$0.skippedLines.isEmpty }.map {
      SkippedRows(file: $0.file, lines: $0.skippedLines)
    }
  }

  /// Keeps the last max(1, ⌊rows/10⌋) rows back for validation.
  static func split(_ rows: TokenRows) throws(DataError) -> (train: [[Int32]], validation: [[Int32]]) {
    let kept = max(1, rows.rows.count / 10)
    guard rows.rows.count > kept else {
      throw DataError(
        file: rows.file, reason: "its only row is kept for validation, and none is left to train on",
        remedy: "give more rows, or a file for val_data_path")
    }
    return (Array(rows.rows.dropLast(kept)), Array(rows.rows.suffix(kept)))
  }

  /// The validation rows in file order, `batchSize` at a time; the last batch may be smaller.
  public func evaluationBatches(batchSize: Int) -> [MicroBatch] {
    stride(from: 0, to: validation.count, by: max(1, batchSize)).map { start in
      MicroBatch(rows: Array(validation[start..<min(validation.count, start + max(1, batchSize))]))
    }
  }
}
