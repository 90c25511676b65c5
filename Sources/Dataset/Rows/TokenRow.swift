import LanguageModel

/// The token ids of a row, and which of them are trained: predicted from those before them, with a loss.
///
/// The first token has none before it and is never predicted, whatever its mark says.
public struct TokenRow: Sendable, Equatable {
  /// The ids; one that is not trained stands as its complement `~id`, which is below zero.
  public let marked: [Int32]

  /// A row that is trained on as a whole.
  public init(ids: [Int32]) { marked = ids }

  /// - Parameter trained: ranges of places in `ids`; what of them lies beyond the row counts for nothing.
  public init(ids: [Int32], trained: [Range<Int>]) {
    var marked = ids.map { ~$0 }
    for range in trained {
      for place in range.clamped(to: ids.indices) { marked[place] = ids[place] }
    }
    self.marked = marked
  }

  init(marked: [Int32]) { self.marked = marked }

  public var count: Int { task == nil ? marked.count : Self.length(ofTaskRow: marked.count) }

  public var ids: [Int32] { task == nil ? marked.map(Self.id) : Array(marked[1...count]) }

  /// Number of tokens that are predicted, or of a task's labels.
  public var trainedCount: Int {
    task == nil
      ? marked.dropFirst().reduce(0) { $1 < 0 ? $0 : $0 + 1 } : taskLabels.count { $0 != MicroBatch.ignored }
  }

  static func id(_ marked: Int32) -> Int32 { marked < 0 ? ~marked : marked }

  /// Whether a token is predicted, or has a label of its row's task.
  public func isTrained(_ place: Int) -> Bool {
    task == nil ? place > 0 && marked[place] >= 0 : marked[1 + count + place] != MicroBatch.ignored
  }

  /// The last tokens that are trained one after the other; nil if none is.
  var lastTrained: Range<Int>? {
    guard let last = marked.indices.last(where: isTrained) else { return nil }
    let before = marked[..<last].indices.last { !isTrained($0) } ?? 0
    return before + 1..<last + 1
  }

  /// Its first tokens.
  func prefix(_ length: Int) -> TokenRow {
    guard let task else { return TokenRow(marked: Array(marked.prefix(length))) }
    return taskPrefix(length, of: task)
  }

  /// Consecutive parts of `length` tokens, the last of what is left.
  func parts(of length: Int) -> [TokenRow] {
    guard task == nil else { return [prefix(length)] }
    return stride(from: 0, to: count, by: length).map { start in
      TokenRow(marked: Array(marked[start..<min(count, start + length)]))
    }
  }
}

extension MicroBatch {
  /// A loss on each trained token of each row.
  public init(rows: [TokenRow]) {
    var (tokens, labels, offsets): ([Int32], [Int32], [Int32]) = ([], [], [0])
    let tasks = rows.compactMap(\.task)
    if !rows.isEmpty, tasks.count == rows.count {
      for row in rows {
        tokens += row.ids
        labels += row.taskLabels
        offsets.append(Int32(clamping: tokens.count))
      }
      self.init(tokens: tokens, offsets: offsets, labels: labels, rowTasks: tasks.map { Int32($0) })
      return
    }
    let count = rows.reduce(0) { $0 + $1.count }
    tokens.reserveCapacity(count)
    labels.reserveCapacity(count)
    for row in rows {
      tokens.append(contentsOf: row.marked.lazy.map(TokenRow.id))
      labels.append(contentsOf: row.marked.dropFirst().lazy.map { $0 < 0 ? Self.ignored : $0 })
      if row.count > 0 { labels.append(Self.ignored) }
      offsets.append(Int32(clamping: tokens.count))
    }
    self.init(tokens: tokens, offsets: offsets, labels: labels)
  }
}
