/// Rows of tokens that lie one after the other in memory, which may be that of a mapped file.
///
/// Unchecked: nothing changes the memory while it is there.
final class TokenTable: @unchecked Sendable {
  /// Where a row lies, and what it came from. Its layout is that of a token cache.
  struct Entry: BitwiseCopyable, Equatable {
    /// The place of its first token.
    var start: UInt64
    /// Of everything that the row of the file became, before it was cut; 0 for later parts of a row that was split.
    var hash: UInt64
    /// 1-based; that at which the row of the file begins.
    var line: UInt64
    var count: UInt32
    /// Tokens that are predicted.
    var trained: UInt32
  }

  /// As in `TokenRow.marked`.
  private let tokens: UnsafeBufferPointer<Int32>
  private let entries: UnsafeBufferPointer<Entry>
  /// Whether its rows are of tasks: all are, or none.
  private let isOfTasks: Bool
  /// Frees the memory.
  private let release: (() -> Void)?

  init(
    tokens: UnsafeBufferPointer<Int32>, entries: UnsafeBufferPointer<Entry>, release: (() -> Void)? = nil
  ) {
    self.tokens = tokens
    self.entries = entries
    self.release = release
    isOfTasks =
      entries.first.map {
        $0.count > 0 && $0.start == 0 && !tokens.isEmpty && TokenRow.task(tokens[0]) != nil
      }
      ?? false
  }

  /// A table in memory of its own.
  convenience init(tokens: [Int32], entries: [Entry]) {
    let ownTokens = UnsafeMutableBufferPointer<Int32>.allocate(capacity: tokens.count)
    _ = ownTokens.initialize(from: tokens)
    let ownEntries = UnsafeMutableBufferPointer<Entry>.allocate(capacity: entries.count)
    _ = ownEntries.initialize(from: entries)
    self.init(tokens: UnsafeBufferPointer(ownTokens), entries: UnsafeBufferPointer(ownEntries)) {
      ownTokens.deallocate()
      ownEntries.deallocate()
    }
  }

  deinit { release?() }

  var count: Int { entries.count }

  /// Whether every row lies within the tokens, one after the other.
  func isSound(tokenCount: Int) -> Bool {
    var place: UInt64 = 0
    for entry in entries {
      guard entry.start == place, entry.trained <= entry.count else { return false }
      place += UInt64(entry.count)
      guard place <= UInt64(tokenCount) else { return false }
    }
    return place == UInt64(tokenCount)
  }

  func entry(_ number: Int) -> Entry { entries[number] }

  /// The tokens of a row, as in `TokenRow.marked`.
  func marked(_ number: Int) -> Slice<UnsafeBufferPointer<Int32>> {
    let entry = entries[number]
    return tokens[Int(entry.start)..<(Int(entry.start) + Int(entry.count))]
  }

  /// Tokens of a row.
  func length(_ number: Int) -> Int {
    let count = Int(entries[number].count)
    return isOfTasks ? TokenRow.length(ofTaskRow: count) : count
  }

  /// The number of a row's task; nil of rows by themselves.
  func task(_ number: Int) -> Int? { isOfTasks ? marked(number).first.flatMap(TokenRow.task) : nil }

  func row(_ number: Int) -> TokenRow { TokenRow(marked: Array(marked(number))) }
}

/// Takes rows in order.
protocol TokenSink {
  /// - Parameter hash: see `TokenTable.Entry`.
  mutating func append(_ row: TokenRow, line: Int, hash: UInt64) throws
}

extension TokenTable.Entry {
  init(_ row: TokenRow, start: Int, line: Int, hash: UInt64) {
    self.init(
      start: UInt64(start), hash: hash, line: UInt64(line), count: UInt32(clamping: row.marked.count),
      trained: UInt32(clamping: row.trainedCount))
  }
}

/// Collects rows in memory.
struct TokenTableBuilder: TokenSink {
  private var tokens: [Int32] = []
  private var entries: [TokenTable.Entry] = []

  mutating func append(_ row: TokenRow, line: Int, hash: UInt64) {
    entries.append(TokenTable.Entry(row, start: tokens.count, line: line, hash: hash))
    tokens.append(contentsOf: row.marked)
  }

  func table() -> TokenTable { TokenTable(tokens: tokens, entries: entries) }
}
