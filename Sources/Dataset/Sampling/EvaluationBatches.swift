import LanguageModel

/// The micro-batches of an evaluation, each made when it is asked for: `batchSize` rows, or packs of rows, in file order;
/// the last may be smaller.
public struct EvaluationBatches: Sendable, RandomAccessCollection {
  private let rows: RowSet
  private let size: Int
  /// The first row of each micro-batch, if these have different numbers of rows.
  private let starts: [Int]?
  /// The number of each row's domain, where something depends on it; else empty.
  package var domains: [UInt8] = []

  /// - Parameter packLength: tokens of a pack at most; nil: rows are not packed.
  public init(rows: RowSet, batchSize: Int, packLength: Int?) {
    self.rows = rows
    size = Swift.max(1, batchSize)
    starts = packLength.map { Self.starts(of: rows, size: Swift.max(1, batchSize), packLength: $0) }
  }

  private static func starts(of rows: RowSet, size: Int, packLength: Int) -> [Int] {
    var starts: [Int] = []
    var (room, packs) = (0, 0)
    for number in rows.indices {
      let length = rows.length(of: number)
      if length > room {
        if packs.isMultiple(of: size) { starts.append(number) }
        packs += 1
        room = packLength
      }
      room -= length
    }
    return starts
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int { starts?.count ?? (rows.count + size - 1) / size }

  /// Numbers of the rows of a micro-batch.
  public func rowNumbers(_ number: Int) -> Range<Int> {
    guard let starts else { return number * size..<Swift.min((number + 1) * size, rows.count) }
    return starts[number]..<(number + 1 < starts.count ? starts[number + 1] : rows.count)
  }

  public subscript(number: Int) -> MicroBatch {
    let numbers = rowNumbers(number)
    var batch = MicroBatch(rows: numbers.map { rows[$0] })
    if !domains.isEmpty { batch.rowDomains = numbers.map { Int32(domains[$0]) } }
    return batch
  }

  /// Tokens of a micro-batch that have a loss.
  public func trainedTokens(of number: Int) -> Int {
    rowNumbers(number).reduce(0) { $0 + rows.trainedCount(of: $1) }
  }
}
