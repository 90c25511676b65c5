import NestedLearning

/// What becomes of rows that are not as they should be.
public struct RowOptions: Sendable {
  /// Tokens of a row at most.
  public var maxLength: Int
  public var longRows: LongRows
  /// Leave out rows without a token to predict, instead of refusing them.
  public var skipUnusable: Bool
  /// Keep rows of tasks that have no label, of which something else is learned.
  public var keepsUnlabelled = false
  /// Leave out and count whatever is wrong with a row, to show all of it.
  public var collectsFaults = false

  public init(maxLength: Int, longRows: LongRows = .cut, skipUnusable: Bool = false) {
    self.maxLength = maxLength
    self.longRows = longRows
    self.skipUnusable = skipUnusable
  }

  public init(_ config: NestedLearningConfig) {
    self.init(
      maxLength: config.maxSeqLength, longRows: config.longRows, skipUnusable: config.skipUnusableRows)
    keepsUnlabelled = config.adaptationAdversary > 0
  }
}

/// How far the tokenizing of a file has come.
public struct TokenizingProgress: Sendable {
  public let file: String
  /// Bytes of the file that have been read.
  public let bytes: Int
  /// The file's size; 0 if it has none, as a pipe.
  public let totalBytes: Int
  public let rows: Int
  public let tokens: Int
  /// What the rows of the whole file will take on the disk, by those that were read; nil if they are in memory.
  public let diskBytes: Int?

  package init(file: String, bytes: Int, totalBytes: Int, rows: Int, tokens: Int, diskBytes: Int?) {
    (self.file, self.bytes, self.totalBytes) = (file, bytes, totalBytes)
    (self.rows, self.tokens, self.diskBytes) = (rows, tokens, diskBytes)
  }
}
