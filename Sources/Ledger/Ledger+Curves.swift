import GRDB
import JSON

/// What curves are drawn from: a part of a long run's steps that lies evenly over all of them.
extension Ledger {
  /// Rows of train_metrics.jsonl, as text, after a step, in order: every one, or every so many so that there are at most `count`,
  /// and the last.
  public func stepMetricTexts(
    after step: Int, atMost count: Int
  ) throws(LedgerError) -> [(step: Int, text: String)] {
    try read("reading the metrics") { db in
      let last = try Self.lastStep(db)
      let rows = try Row.fetchAll(
        db,
        sql: "SELECT step, metrics FROM steps WHERE step > ? AND (step % ? = 0 OR step = ?) ORDER BY step",
        arguments: [step, Self.stride(last - step, count), last])
      return rows.map { ($0["step"], $0["metrics"]) }
    }
  }

  /// Losses of steps that have one, at most `count` and the last.
  public func losses(atMost count: Int) throws(LedgerError) -> [(step: Int, loss: Double)] {
    try read("reading the losses") { db in
      let last = try Self.lastStep(db)
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT step, loss FROM steps WHERE loss IS NOT NULL AND (step % ? = 0 OR step = ?) ORDER BY step
          """,
        arguments: [Self.stride(last, count), last])
      return rows.map { ($0["step"], $0["loss"]) }
    }
  }

  /// Every how many of `steps` are taken so that there are at most `count`.
  private static func stride(_ steps: Int, _ count: Int) -> Int {
    let count = max(1, count)
    return max(1, (steps + count - 1) / count)
  }
}
