import Files
import LanguageModel
import NestedLearning

/// The rows of a run: those it trains on and those it is evaluated on.
public struct TrainingData: Sendable {
  public private(set) var train: RowSet
  public let validation: RowSet
  /// What became of the rows of each file; those of validation are the same if its rows are of the same files.
  public let reports: (train: [RowReport], validation: [RowReport])
  /// Where rows are kept.
  public let caches: [String]
  /// Why rows that would be kept are in memory.
  public let notKept: [String]
  private let packing: Bool
  private let maxLength: Int

  /// Reads the files that a config names. Its paths must be ready to be opened.
  ///
  /// - Parameters:
  ///   - cache: where rows are kept; nil for memory.
  ///   - sha256: gives the digest of a file.
  ///   - progress: is told, now and then, how far the tokenizing of a file has come.
  /// - Throws: `DataError` with file, line and key.
  public init(
    config: NestedLearningConfig, encoder: RowEncoder, cache: TokenCache? = nil,
    sha256: (String) throws -> String = FileDigest.sha256(file:),
    progress: ((TokenizingProgress) -> Void)? = nil
  ) throws {
    let files = try DataFiles(config: config)
    func read(_ file: String) throws -> TokenRows {
      try TokenRows(
        file: file, encoder: encoder, options: RowOptions(config), cache: cache, sha256: sha256,
        progress: progress)
    }
    let rows = try files.train.map { (rows: try read($0.path), weight: $0.weight) }
    let validationRows = try files.validation.map(read)
    reports = (
      rows.map(\.rows.report), (validationRows.isEmpty ? rows.map(\.rows) : validationRows).map(\.report)
    )
    caches = (rows.map(\.rows) + validationRows).compactMap(\.cache)
    notKept = (rows.map(\.rows) + validationRows).compactMap(\.notKept)
    if validationRows.isEmpty {
      let split = try rows.map { try Self.split($0.rows, weight: $0.weight) }
      train = RowSet(split.flatMap(\.train.parts))
      validation = RowSet(split.flatMap(\.validation.parts))
    } else {
      train = RowSet(rows.flatMap { $0.rows.rows.weighted($0.weight).parts })
      validation = RowSet(validationRows.flatMap(\.rows.parts))
    }
    (packing, maxLength) = (config.packing, config.maxSeqLength)
    guard config.adaptationAdversary == 0 || validation.indices.contains(where: validation.isLabelled) else {
      throw DataError(
        file: config.valDataPath ?? config.trainDataPath, key: "label",
        reason: "no row to validate has a label, so that an evaluation measures nothing",
        remedy: "name rows with labels in val_data_path")
    }
  }

  /// Keeps the last max(1, ⌊rows/10⌋) rows of a file back for validation.
  private static func split(
    _ rows: TokenRows, weight: Double
  ) throws(DataError) -> (train: RowSet, validation: RowSet) {
    let kept = max(1, rows.rows.count / 10)
    guard rows.rows.count > kept else {
      throw DataError(
        file: rows.file, reason: "its only row is kept for validation, and none is left to train on",
        remedy: "give more rows, or a file for val_data_path")
    }
    let (train, validation) = rows.rows.split(at: rows.rows.count - kept)
    return (train.weighted(weight), validation)
  }

  /// Whether a row goes through the chat template.
  public var hasConversations: Bool { (reports.train + reports.validation).contains { $0.conversations > 0 } }

  /// What a user should know of the rows before they are trained on, a line each.
  public var summary: [String] {
    let all =
      reports.train
      + reports.validation.filter { report in !reports.train.contains { $0.file == report.file } }
    return all.flatMap { report in [report.overview] + report.remarks }
  }

  /// The same, with other rows to train on.
  public func training(on rows: RowSet) -> TrainingData {
    var data = self
    data.train = rows
    return data
  }

  /// What became of rows that are too long, of all files together.
  public var longRows: (train: LongRowCounts, validation: LongRowCounts) {
    func sum(_ reports: [RowReport]) -> LongRowCounts {
      LongRowCounts.sum(reports.map(\.long)) ?? LongRowCounts(file: "", rule: .cut, maxLength: maxLength)
    }
    return (sum(reports.train), sum(reports.validation))
  }

  /// The validation rows in file order, `batchSize` rows, or packs of rows, at a time; the last batch may be smaller.
  public func evaluationBatches(batchSize: Int) -> EvaluationBatches {
    EvaluationBatches(rows: validation, batchSize: batchSize, packLength: packing ? maxLength : nil)
  }
}
