import Dataset

/// A report of rows for a person.
struct ReportText {
  private let report: RowReport

  init(_ report: RowReport) { self.report = report }

  var text: String { (head + histogram + remarks).joined(separator: "\n") }

  private var head: [String] {
    let kinds = RowKind.allCases.compactMap { kind in report.kinds[kind].map { "\($0) \(kind.rawValue)" } }
    let share = report.tokens > 0 ? 100 * report.trainedTokens / report.tokens : 0
    var lines = [
      report.file,
      "  Rows        " + (kinds.isEmpty ? "none that can be read" : kinds.joined(separator: ", ")),
      "  Trained on  \(report.rows) rows of \(report.tokens) tokens, \(report.trainedTokens) of them (\(share) %) predicted",
    ]
    let longest = report.lengths.longest.map { "line \($0.line) (\($0.tokens) tokens)" }
    if !longest.isEmpty { lines.append("  Longest     " + longest.joined(separator: ", ")) }
    return lines
  }

  /// Rows by their tokens, each class with a bar.
  private var histogram: [String] {
    let counts = report.lengths.counts
    guard let most = counts.max(), most > 0, let first = counts.firstIndex(where: { $0 > 0 }) else {
      return []
    }
    return ["  Tokens of a row, before any is cut"]
      + (first..<counts.count).map { index in
        let range = LengthHistogram.range(index)
        let name = range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
        let bar = String(repeating: "#", count: (counts[index] * 30 + most - 1) / most)
        let line = "    " + Self.right(name, 18) + Self.right("\(counts[index])", 10)
        return bar.isEmpty ? line : line + "  " + bar
      }
  }

  private var remarks: [String] { report.remarks.map { "  " + $0 } + duplicates }

  private var duplicates: [String] {
    report.duplicates.groups.map { lines in
      "    the same: lines " + lines.map(String.init).joined(separator: ", ")
    }
  }

  private static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
