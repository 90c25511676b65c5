import JSON
import NestedLearning

/// What became of the rows of a file: what `data inspect` shows, and what opens a run.
public struct RowReport: Sendable, Equatable {
  public internal(set) var file: String
  /// Rows of the file that went through the chat template.
  public internal(set) var conversations = 0
  /// Rows of the file, of each kind.
  public internal(set) var kinds: [RowKind: Int] = [:]
  /// The number, among the rows that are trained on, of the first row of each kind.
  public internal(set) var firstRows: [RowKind: Int] = [:]
  /// Rows that are trained on; with `long_rows: split` a row of the file may be several.
  public internal(set) var rows = 0
  /// Of these rows.
  public internal(set) var tokens = 0
  public internal(set) var trainedTokens = 0
  /// Rows of the file by their number of tokens, before any was cut.
  public internal(set) var lengths = LengthHistogram()
  /// What became of rows that are too long.
  public internal(set) var long: LongRowCounts
  /// Rows that are left out, by why.
  public internal(set) var skipped: [SkippedRows] = []
  /// Turns of the assistant that were not found in what the template made of their conversation.
  public internal(set) var missingTurns = LineCounts()
  public internal(set) var duplicates = DuplicateRows()
  /// The largest id of a token.
  public internal(set) var largestID: Int32 = 0

  /// Rows that are left out for one reason.
  public struct SkippedRows: Sendable, Equatable {
    public let reason: String
    public internal(set) var lines: LineCounts
  }

  init(file: String, rule: LongRows, maxLength: Int) {
    self.file = file
    long = LongRowCounts(file: file, rule: rule, maxLength: maxLength)
  }

  /// Rows that are left out, for whatever reason.
  public var skippedCount: Int { skipped.reduce(0) { $0 + $1.lines.count } }

  mutating func skip(_ reason: String, line: Int) {
    if let index = skipped.firstIndex(where: { $0.reason == reason }) {
      skipped[index].lines.add(line)
    } else if skipped.count < Self.mostReasons {
      skipped.append(SkippedRows(reason: reason, lines: LineCounts(line)))
    } else {
      skipped[skipped.count - 1].lines.add(line)
    }
  }

  private static let mostReasons = 32

  mutating func keep(_ row: TokenRow, kind: RowKind) {
    if firstRows[kind] == nil { firstRows[kind] = rows }
    rows += 1
    tokens += row.count
    trainedTokens += row.trainedCount
    guard row.task == nil else {
      largestID = max(largestID, row.ids.max() ?? 0)
      return
    }
    for marked in row.marked { largestID = max(largestID, TokenRow.id(marked)) }
  }
}

/// How many lines there are of a sort, and the first of them.
public struct LineCounts: Sendable, Equatable {
  public private(set) var count = 0
  /// 1-based; a hundred at most.
  public private(set) var first: [Int] = []
  private static let most = 100

  init() {}

  init(_ line: Int) { add(line) }

  mutating func add(_ line: Int) {
    count += 1
    if first.count < Self.most { first.append(line) }
  }

  /// `line 3`, `lines 3, 5, 8`, `lines 3, 5, 8, … (12)`.
  public var text: String {
    let shown = first.prefix(5).map(String.init).joined(separator: ", ")
    return (count == 1 ? "line " : "lines ") + shown + (count > 5 ? ", …" : "")
  }

  public var json: JSONValue { ["count": .number(count), "lines": .numbers(first)] }

  init?(json: JSONValue?) {
    guard let count = json?["count"]?.int, let lines = json?["lines"]?.array else { return nil }
    self.count = count
    first = lines.compactMap(\.int)
  }
}

/// Rows by their number of tokens, in classes that double.
public struct LengthHistogram: Sendable, Equatable {
  /// Class c has the rows of 2^(c−1) ≤ tokens < 2^c; class 0 those of none.
  public private(set) var counts: [Int] = []
  /// Line and number of tokens of the longest, the longest first; five at most.
  public private(set) var longest: [LongRowCounts.Row] = []

  mutating func add(_ tokens: Int, line: Int) {
    let index = Int.bitWidth - tokens.leadingZeroBitCount
    while counts.count <= index { counts.append(0) }
    counts[index] += 1
    LongRowCounts.Row.insert(line: line, tokens: tokens, into: &longest)
  }

  init() {}

  init?(json: JSONValue?) {
    guard let counts = json?["counts"]?.array, let longest = json?["longest"]?.array else { return nil }
    self.counts = counts.compactMap(\.int)
    self.longest = longest.compactMap(LongRowCounts.Row.init(json:))
  }

  /// The tokens of the rows of a class.
  public static func range(_ index: Int) -> ClosedRange<Int> {
    index == 0 ? 0...0 : (1 << (index - 1))...((1 << index) - 1)
  }

  var json: JSONValue { ["counts": .numbers(counts), "longest": .array(longest.map(\.json))] }
}

/// Rows that stand in a file more than once: what the tokenizer and the template make of them is the same to the last
/// token, before anything is cut.
public struct DuplicateRows: Sendable, Equatable {
  /// Rows beyond the first of each sort.
  public internal(set) var count = 0
  /// The lines of the first sorts, ten at most, of each ten lines at most.
  public internal(set) var groups: [[Int]] = []
  static let mostGroups = 10
  static let mostLines = 10

  init() {}

  init?(json: JSONValue?) {
    guard let count = json?["count"]?.int, let groups = json?["groups"]?.array else { return nil }
    self.count = count
    self.groups = groups.map { ($0.array ?? []).compactMap(\.int) }
  }

  var json: JSONValue { ["count": .number(count), "groups": .array(groups.map { .numbers($0) })] }
}
