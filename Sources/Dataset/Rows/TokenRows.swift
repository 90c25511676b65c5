import Files
import JSON
import NestedLearning

/// The rows of one data file as token ids.
public struct TokenRows: Sendable {
  /// In file order. Each has a token to predict.
  public let rows: RowSet
  public let report: RowReport
  /// Where the rows are kept; nil if they are in memory.
  public let cache: String?
  /// Whether they were there already.
  public let wasCached: Bool
  /// Why rows that would be kept are in memory: there is no folder for them, and none was asked for.
  public private(set) var notKept: String?

  public var file: String { report.file }
  public var long: LongRowCounts { report.long }

  /// Reads a file and encodes its rows on all cores, or takes what the cache has of it.
  ///
  /// - Parameters:
  ///   - cache: where rows are kept; nil for memory.
  ///   - sha256: gives the digest of a file.
  ///   - progress: is told, now and then, how far it has come.
  /// - Throws: `DataError` for the first row that cannot be used, or if none can.
  public init(
    file: String, encoder: RowEncoder, options: RowOptions, cache: TokenCache? = nil,
    sha256: (String) throws -> String = FileDigest.sha256(file:),
    progress: ((TokenizingProgress) -> Void)? = nil
  ) throws {
    let encoding = FileEncoding(file: file, encoder: encoder, options: options, progress: progress)
    guard let cache, let path = try cache.path(of: file, options, encoder.trainOn, sha256: sha256) else {
      try self.init(inMemory: encoding)
      return
    }
    if let known = Self.open(path, file: file, options: options) {
      FileSystem.touch(path)
      self.init(known.table, known.report, cache: path, wasCached: true)
      return
    }
    do throws(DataError) { try cache.prepare() } catch {
      if cache.isChosen { throw error }
      try self.init(inMemory: encoding)
      notKept = error.description
      return
    }
    let (writer, report) = try encoding.rows(into: TokenCacheWriter(path: path)) { needed in
      try cache.checkRoom(needed, file: file)
    }
    try writer.finish { report.completed(by: $0).json }
    guard let written = Self.open(path, file: file, options: options) else {
      throw DataError(
        file: path, reason: "is not what was just written there",
        remedy: "check this volume (the system's log says more)")
    }
    try cache.evict()
    self.init(written.table, written.report, cache: path, wasCached: false)
  }

  private init(inMemory encoding: FileEncoding) throws {
    let (sink, report) = try encoding.rows(into: TokenTableBuilder())
    let table = sink.table()
    self.init(table, report.completed(by: table), cache: nil, wasCached: false)
  }

  private init(_ table: TokenTable, _ report: RowReport, cache: String?, wasCached: Bool) {
    rows = RowSet([RowSet.Part(table: table, range: 0..<table.count, file: report.file)])
    self.report = report
    self.cache = cache
    self.wasCached = wasCached
  }

  private static func open(
    _ path: String, file: String, options: RowOptions
  ) -> (table: TokenTable, report: RowReport)? {
    TokenCacheFile.open(path).flatMap { table, json in
      RowReport(json: json, file: file, options: options).map { (table, $0) }
    }
  }
}

extension RowReport {
  /// With what only all rows together tell.
  fileprivate func completed(by table: TokenTable) -> RowReport {
    var report = self
    report.duplicates = DuplicateFinder.find(in: table)
    return report
  }
}
