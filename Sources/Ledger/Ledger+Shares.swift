import GRDB

/// What one worker did in a run, in one term.
public struct WorkShare: Sendable, Equatable {
  /// Hand-outs of one purpose that ended in one way.
  public struct Outcome: Sendable, Equatable {
    /// `train`, `evaluate`, `collect`, `recompute` or `flush`.
    public let purpose: String
    /// `committed`, or why the result was not used.
    public let outcome: String
    public let shards: Int
    /// Their durations added up, on the coordinator's clock.
    public let seconds: Double
  }

  public let worker: WorkerRecord
  /// Nil while it is there, and for one that was there when its coordinator was killed.
  public let leftReason: String?
  public let outcomes: [Outcome]
}

extension Ledger {
  /// The workers of all terms in the order in which they came, each with all its hand-outs, those of old steps included.
  public func workShares() throws(LedgerError) -> [WorkShare] {
    let workers = try workers()
    return try read("reading who did what") { db in
      let key: (Row) -> [Int64] = { [$0["term"], $0["worker"]] }
      let reasons = Dictionary(
        uniqueKeysWithValues: try Row.fetchAll(db, sql: "SELECT term, worker, left_reason FROM workers").map {
          (key($0), $0["left_reason"] as String?)
        })
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT term, worker, purpose, outcome, sum(shards) AS shards, total(seconds) AS seconds FROM (
            SELECT term, worker, purpose, outcome, 1 AS shards, seconds FROM assignments
            UNION ALL SELECT term, worker, purpose, outcome, shards, seconds FROM assignment_totals)
          GROUP BY term, worker, purpose, outcome ORDER BY term, worker, purpose, outcome
          """)
      let outcomes = Dictionary(grouping: rows, by: key)
      return workers.map { worker in
        let own = [Int64(clamping: worker.term), Int64(worker.id)]
        return WorkShare(
          worker: worker, leftReason: reasons[own] ?? nil,
          outcomes: (outcomes[own] ?? []).map {
            .init(
              purpose: $0["purpose"], outcome: $0["outcome"], shards: $0["shards"], seconds: $0["seconds"])
          })
      }
    }
  }
}
