/// Rows of one or several files in a fixed order, each by its number.
public struct RowSet: Sendable, RandomAccessCollection {
  /// Rows of one file that follow each other.
  struct Part: Sendable {
    let table: TokenTable
    let range: Range<Int>
    /// How often an epoch has each of them; see `RowOrder`.
    var weight = 1.0
    /// That they are of; empty for rows in memory.
    var file = ""

    /// Others of the same file.
    func with(_ range: Range<Int>) -> Part {
      Part(table: table, range: range, weight: weight, file: file)
    }
  }

  let parts: [Part]
  /// The number of each part's first row, and of all rows.
  private let starts: [Int]

  init(_ parts: [Part]) {
    self.parts = parts
    starts = parts.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.range.count) }
  }

  /// The rows of each, one after the other.
  public init(joining sets: [RowSet]) { self.init(sets.flatMap(\.parts)) }

  public var startIndex: Int { 0 }
  public var endIndex: Int { starts.last ?? 0 }
  public subscript(number: Int) -> TokenRow {
    let (part, place) = place(of: number)
    return part.table.row(place)
  }

  /// Tokens of a row.
  func length(of number: Int) -> Int {
    let (part, place) = place(of: number)
    return part.table.length(place)
  }

  /// The number of a row's task; nil of rows by themselves.
  public func task(of number: Int) -> Int? {
    let (part, place) = place(of: number)
    return part.table.task(place)
  }

  /// The line of its file at which a row begins, from 1.
  public func line(of number: Int) -> Int {
    let (part, place) = place(of: number)
    return Int(part.table.entry(place).line)
  }

  /// Tokens of a row that are predicted.
  /// Whether something of a row is learned, or it has a label of its task.
  func isLabelled(_ number: Int) -> Bool { trainedCount(of: number) > 0 }

  func trainedCount(of number: Int) -> Int {
    let (part, place) = place(of: number)
    return Int(part.table.entry(place).trained)
  }

  /// The same rows, of which an epoch has more or fewer; see `RowOrder`.
  func weighted(_ weight: Double) -> RowSet {
    RowSet(
      parts.map { Part(table: $0.table, range: $0.range, weight: weight, file: $0.file) })
  }

  /// The rows before a number, and those from there on.
  func split(at number: Int) -> (RowSet, RowSet) {
    var (before, after): ([Part], [Part]) = ([], [])
    for (part, start) in zip(parts, starts) {
      let cut = Swift.min(Swift.max(number - start, 0), part.range.count) + part.range.lowerBound
      before.append(part.with(part.range.lowerBound..<cut))
      after.append(part.with(cut..<part.range.upperBound))
    }
    return (RowSet(before.filter { !$0.range.isEmpty }), RowSet(after.filter { !$0.range.isEmpty }))
  }

  /// The first so many rows.
  public func first(_ count: Int) -> RowSet { split(at: count).0 }

  /// Where a row stands in the table of its file.
  private func place(of number: Int) -> (Part, Int) {
    var index = 0
    while index + 1 < parts.count, number >= starts[index + 1] { index += 1 }
    return (parts[index], parts[index].range.lowerBound + number - starts[index])
  }
}

extension RowSet {
  /// Rows in memory.
  public init(_ rows: [TokenRow]) {
    var builder = TokenTableBuilder()
    for (number, row) in rows.enumerated() { builder.append(row, line: number + 1, hash: 0) }
    let table = builder.table()
    self.init([Part(table: table, range: 0..<table.count)])
  }
}
