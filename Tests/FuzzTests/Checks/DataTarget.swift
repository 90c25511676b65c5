@testable import Dataset

extension FuzzTarget {
  /// A JSONL file as training reads it. Every row that is kept must have a token to predict.
  static let rows = FuzzTarget(name: "rows") { input in
    ScratchFolder.with(input, named: "rows.jsonl") { path in
      for skip in [false, true] {
        guard
          let rows = try? TokenRows(
            file: path, encoder: RowEncoder(encoder: BytesAsTokens(), template: nil),
            options: RowOptions(maxLength: 64, skipUnusable: skip))
        else { continue }
        guard !rows.rows.isEmpty, rows.rows.allSatisfy({ (2...64).contains($0.count) && $0.trainedCount > 0 })
        else {
          return "a row without a token to predict was kept"
        }
        let lines = rows.report.skipped.flatMap(\.lines.first)
        guard skip || lines.isEmpty, zip(lines, lines.dropFirst()).allSatisfy({ $0 <= $1 }) else {
          return "lines \(lines) were skipped"
        }
      }
      return nil
    }
  }

  private struct BytesAsTokens: TextEncoder {
    func trainingIDs(text: String, maxLength: Int) throws -> [Int32] {
      Array((text.utf8.map { Int32($0) } + [256]).prefix(maxLength))
    }

    func promptIDs(text: String) throws -> [Int32] { text.utf8.map { Int32($0) } }

    func encode(_ text: String, countingBefore places: [Int]) throws -> (ids: [Int32], counts: [Int]) {
      (text.utf8.map { Int32($0) }, places)
    }

    func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String { "\(ids)" }

    var turnEndTokenIDs: Set<Int32> { [10] }
  }
}
