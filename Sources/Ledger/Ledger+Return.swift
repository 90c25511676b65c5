import GRDB

/// Going back: what came after a step is void, because results that went into it are not to be trusted.
extension Ledger {
  /// The first step of the present record (or the evaluation after it) with a committed result of this identity that
  /// nobody else came to as well; nil if there is none.
  public func firstUnverifiedStep(of identity: String) throws(LedgerError) -> Int? {
    try read("looking for unverified results of \(identity)") { db in
      try Int.fetchOne(
        db,
        sql: """
          SELECT min(a.step) FROM assignments AS a JOIN workers AS w USING (term, worker)
          WHERE w.identity = ? AND a.outcome = 'committed' AND a.verified = 0
          """,
        arguments: [identity])
    }
  }

  /// Makes everything after a step void, in one transaction: rows of steps, evaluations, checkpoints and snapshots go,
  /// committed hand-outs become `void`, and the return itself is recorded. The tiers are to be recorded again by
  /// whoever restores them. Files are the caller's: what the ledger does not name does not count.
  ///
  /// - Parameter step: 0 to begin anew.
  /// - Returns: the record of it.
  public func rollBack(
    to step: Int, identity: String, firstUnverifiedStep: Int, at time: Timestamp = .now()
  ) throws(LedgerError) -> ReturnRecord {
    try write("going back to step \(step)") { db in
      let term = try self.checkTerm(db)
      let from = try Self.lastStep(db)
      guard (0..<max(firstUnverifiedStep, 1)).contains(step) else {
        throw LedgerError.invalid(
          "a return to step \(step) does not undo what step \(firstUnverifiedStep) was made from")
      }
      func void(_ sql: String) throws -> Int {
        try db.execute(sql: sql, arguments: [step])
        return db.changesCount
      }
      let steps = try void("DELETE FROM steps WHERE step > ?")
      let evaluations = try void("DELETE FROM evaluations WHERE step > ?")
      _ = try void("DELETE FROM checkpoints WHERE step > ?")
      _ = try void("DELETE FROM snapshots WHERE step > ?")
      let results = try void(
        "UPDATE assignments SET outcome = 'void' WHERE step > ? AND outcome = 'committed'")
      let record = ReturnRecord(
        term: UInt64(clamping: term), identity: identity, firstUnverifiedStep: firstUnverifiedStep,
        fromStep: from, toStep: min(step, from), voidedSteps: steps, voidedEvaluations: evaluations,
        voidedResults: results, at: time)
      try Self.insert(record, db)
      return record
    }
  }

  /// Every return, in order.
  public func returns() throws(LedgerError) -> [ReturnRecord] {
    try read("reading the returns") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM returns ORDER BY id").map { row in
        ReturnRecord(
          term: UInt64(clamping: row["term"] as Int64), identity: row["identity"],
          firstUnverifiedStep: row["first_unverified_step"], fromStep: row["from_step"],
          toStep: row["to_step"],
          voidedSteps: row["voided_steps"], voidedEvaluations: row["voided_evaluations"],
          voidedResults: row["voided_results"], at: try Self.time(row["returned_at"]))
      }
    }
  }

  private static func insert(_ record: ReturnRecord, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT INTO returns (term, identity, first_unverified_step, from_step, to_step, voided_steps,
          voided_evaluations, voided_results, returned_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        try stored(record.term), record.identity, record.firstUnverifiedStep, record.fromStep, record.toStep,
        record.voidedSteps, record.voidedEvaluations, record.voidedResults, record.at.text,
      ])
  }
}
