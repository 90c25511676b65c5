import GRDB

/// What a long run's rows come to: sums over all steps, and hand-outs of old steps.
extension Ledger {
  /// The members of train_metrics.jsonl's rows whose sums over all committed steps are kept.
  static let summedMetrics = ["step_time", "snapshot_time"]

  /// The sum of a number of train_metrics.jsonl over all committed steps.
  ///
  /// - Parameter key: `step_time` or `snapshot_time`; 0 for any other.
  public func total(ofMetric key: String) throws(LedgerError) -> Double {
    try read("reading the sum of \(key)") { db in
      // Whoever only reads a ledger of an older form cannot bring it up to date.
      guard try db.tableExists("step_totals") else {
        return try Double.fetchOne(
          db, sql: "SELECT total(json_extract(metrics, '$.' || ?)) FROM steps", arguments: [key]) ?? 0
      }
      return try Double.fetchOne(db, sql: "SELECT total FROM step_totals WHERE metric = ?", arguments: [key])
        ?? 0
    }
  }

  /// Adds a committed step to the sums.
  static func add(_ step: StepRecord, _ db: Database) throws {
    for metric in summedMetrics {
      guard let value = step.metrics[metric]?.double, value.isFinite else { continue }
      try db.execute(
        sql: """
          INSERT INTO step_totals (metric, total) VALUES (?, ?)
          ON CONFLICT (metric) DO UPDATE SET total = total + excluded.total
          """,
        arguments: [metric, value])
    }
  }

  /// Makes the sums anew from the steps that are there.
  static func sumUp(_ db: Database) throws {
    for metric in summedMetrics {
      try db.execute(
        sql: """
          INSERT OR REPLACE INTO step_totals (metric, total)
          SELECT :metric, total(json_extract(metrics, '$.' || :metric)) FROM steps
          """,
        arguments: ["metric": metric])
    }
  }

  // MARK: - Hand-outs of old steps

  /// Hand-outs of at least so many steps stay row by row.
  static let stepsInDetail = 1000
  /// Rows that one transaction rolls up, about.
  static let rolledUpAtOnce = 10_000
  /// Transactions of one call.
  static let rollUpsAtOnce = 8

  /// Rolls hand-outs of old steps up, into totals by worker, purpose and outcome: those of steps that the run cannot go
  /// back into, which are those up to its oldest snapshot, and never those of the last 1,000 steps. Going back to before
  /// them means going back to the start, so no total is ever void in part. Each call does a bounded part of it.
  ///
  /// - Returns: how many hand-outs were rolled up.
  @discardableResult
  public func rollUpAssignments() throws(LedgerError) -> Int {
    var sum = 0
    for _ in 0..<Self.rollUpsAtOnce {
      let count = try write("rolling hand-outs up") { db in
        try self.checkTerm(db)
        return try Self.rollUpAssignments(db)
      }
      sum += count
      if count == 0 { break }
    }
    return sum
  }

  private static func rollUpAssignments(_ db: Database) throws -> Int {
    guard let oldest = try Int.fetchOne(db, sql: "SELECT min(step) FROM snapshots") else { return 0 }
    let bound = min(oldest, try lastStep(db) - stepsInDetail)
    let last =
      try Int.fetchOne(
        db, sql: "SELECT step FROM assignments WHERE step <= ? ORDER BY step LIMIT 1 OFFSET ?",
        arguments: [bound, rolledUpAtOnce]) ?? bound
    try db.execute(
      sql: """
        INSERT INTO assignment_totals
          (term, worker, purpose, outcome, verified, first_step, last_step, shards, seconds)
        SELECT term, worker, purpose, outcome, verified, min(step), max(step), count(*), total(seconds)
          FROM assignments WHERE step <= ? GROUP BY term, worker, purpose, outcome, verified
        \(onConflict)
        """,
      arguments: [last])
    try db.execute(sql: "DELETE FROM assignments WHERE step <= ?", arguments: [last])
    return db.changesCount
  }

  /// Committed totals that lie after a step become void; one that begins before it stays, so that whose results went
  /// into the steps up to there is not forgotten.
  ///
  /// - Returns: how many hand-outs these are.
  static func voidTotals(after step: Int, _ db: Database) throws -> Int {
    let count =
      try Int.fetchOne(
        db,
        sql: "SELECT sum(shards) FROM assignment_totals WHERE first_step > ? AND outcome = 'committed'",
        arguments: [step]) ?? 0
    try db.execute(
      sql: """
        INSERT INTO assignment_totals
          (term, worker, purpose, outcome, verified, first_step, last_step, shards, seconds)
        SELECT term, worker, purpose, 'void', verified, first_step, last_step, shards, seconds
          FROM assignment_totals WHERE first_step > ? AND outcome = 'committed'
        \(onConflict)
        """,
      arguments: [step])
    try db.execute(
      sql: "DELETE FROM assignment_totals WHERE first_step > ? AND outcome = 'committed'", arguments: [step])
    return count
  }

  private static let onConflict = """
    ON CONFLICT (term, worker, purpose, outcome, verified) DO UPDATE SET
      first_step = min(first_step, excluded.first_step), last_step = max(last_step, excluded.last_step),
      shards = shards + excluded.shards, seconds = seconds + excluded.seconds
    """

  /// The hand-outs that were rolled up, by term and worker.
  public func assignmentTotals() throws(LedgerError) -> [AssignmentTotal] {
    try read("reading the totals of hand-outs") { db in
      let sql = "SELECT * FROM assignment_totals ORDER BY term, worker, purpose, outcome, verified"
      return try Row.fetchAll(db, sql: sql).map { row in
        AssignmentTotal(
          term: UInt64(clamping: row["term"] as Int64), worker: row["worker"], purpose: row["purpose"],
          outcome: row["outcome"], verified: row["verified"], firstStep: row["first_step"],
          lastStep: row["last_step"], shards: row["shards"], seconds: row["seconds"])
      }
    }
  }
}

/// Hand-outs of old steps by one worker, with one outcome.
public struct AssignmentTotal: Sendable, Equatable {
  public var term: UInt64
  public var worker: Int
  public var purpose: String
  public var outcome: String
  public var verified: Bool
  /// The first and the last step among them.
  public var firstStep: Int
  public var lastStep: Int
  /// How many they are.
  public var shards: Int
  /// Their durations added up.
  public var seconds: Double
}
