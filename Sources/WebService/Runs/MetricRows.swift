import JSON
import Ledger
import Synchronization

/// Rows of metrics as JSON. Those that are asked for again and again are the same, but for the newest, and to read them as
/// JSON is most of what it costs to show a run. They are known by their text, so that a step that is computed anew is read
/// anew.
final class MetricRows: Sendable {
  private let known = Mutex<[String: JSONValue]>([:])
  /// Of an answer with more rows none is kept: a curve of all steps is fetched once.
  private static let mostOfOneAnswer = 256
  private static let most = 1024

  /// Rows after a step, in order: every one, or every so many so that there are at most `count`, and the last.
  func rows(_ ledger: Ledger, after step: Int, atMost count: Int) throws -> [(step: Int, row: JSONValue)] {
    let texts = try ledger.stepMetricTexts(after: step, atMost: count)
    guard texts.count <= Self.mostOfOneAnswer else {
      return try texts.map { ($0.step, try JSONValue(parsing: $0.text)) }
    }
    return try texts.map { ($0.step, try row($0.text)) }
  }

  private func row(_ text: String) throws -> JSONValue {
    if let row = known.withLock({ $0[text] }) { return row }
    let row = try JSONValue(parsing: text)
    known.withLock { known in
      if known.count >= Self.most { known = [:] }
      known[text] = row
    }
    return row
  }
}
