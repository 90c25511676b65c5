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
          SELECT min(step) FROM (
            SELECT min(a.step) AS step FROM assignments AS a JOIN workers AS w USING (term, worker)
              WHERE w.identity = :identity AND a.outcome = 'committed' AND a.verified = 0
            UNION ALL
            SELECT min(t.first_step) FROM assignment_totals AS t JOIN workers AS w USING (term, worker)
              WHERE w.identity = :identity AND t.outcome = 'committed' AND t.verified = 0)
          """,
        arguments: ["identity": identity])
    }
  }

  /// Goes back because results of an identity are not to be trusted: see `void(after:)`.
  ///
  /// - Parameter step: 0 to begin anew.
  /// - Returns: the record of it.
  public func rollBack(
    to step: Int, identity: String, firstUnverifiedStep: Int, at time: Timestamp = .now()
  ) throws(LedgerError) -> ReturnRecord {
    guard (0..<max(firstUnverifiedStep, 1)).contains(step) else {
      throw .invalid(
        "a return to step \(step) does not undo what step \(firstUnverifiedStep) was made from")
    }
    return try rollBack(
      to: step, reason: .unverified, identity: identity, firstUnverifiedStep: firstUnverifiedStep, at: time)
  }

  /// Goes back because somebody asked for it.
  ///
  /// - Parameter step: a step up to the last committed one; 0 to begin anew.
  /// - Returns: the record of it.
  public func rollBack(byHandTo step: Int, at time: Timestamp = .now()) throws(LedgerError) -> ReturnRecord {
    let last = try lastStep()
    guard (0...last).contains(step) else {
      throw .invalid("the run cannot go back to step \(step): its last step is \(last)")
    }
    return try rollBack(
      to: step, reason: .byHand, identity: "", firstUnverifiedStep: step + 1, at: time)
  }

  /// One transaction: what came after the step is void, and the return is recorded. The tiers are to be recorded again
  /// by whoever restores them. Files are the caller's: what the ledger does not name does not count.
  private func rollBack(
    to step: Int, reason: ReturnReason, identity: String, firstUnverifiedStep: Int, at time: Timestamp
  ) throws(LedgerError) -> ReturnRecord {
    try write("going back to step \(step)") { db in
      let term = try self.checkTerm(db)
      let from = try Self.lastStep(db)
      let voided = try Self.void(after: step, db)
      let record = ReturnRecord(
        term: UInt64(clamping: term), reason: reason, identity: identity,
        firstUnverifiedStep: firstUnverifiedStep,
        fromStep: from, toStep: min(step, from), voidedSteps: voided.steps,
        voidedEvaluations: voided.evaluations,
        voidedResults: voided.results, at: time)
      try Self.insert(record, db)
      return record
    }
  }

  /// Makes everything after a step void: rows of steps, their shards' digests, evaluations, checkpoints and snapshots
  /// go, and committed hand-outs become `void`.
  private static func void(
    after step: Int, _ db: Database
  ) throws -> (steps: Int, evaluations: Int, results: Int) {
    func delete(from table: String) throws -> Int {
      try db.execute(sql: "DELETE FROM \(table) WHERE step > ?", arguments: [step])
      return db.changesCount
    }
    let steps = try delete(from: "steps")
    let evaluations = try delete(from: "evaluations")
    // A plan begins at the step after the evaluation that has led to it.
    try db.execute(sql: "DELETE FROM tier_plans WHERE first_step > ?", arguments: [step + 1])
    for table in ["shard_digests", "layer_digests", "checkpoints", "snapshots"] {
      _ = try delete(from: table)
    }
    try sumUp(db)
    try db.execute(
      sql: "UPDATE assignments SET outcome = 'void' WHERE step > ? AND outcome = 'committed'",
      arguments: [step])
    return (steps, evaluations, db.changesCount + (try voidTotals(after: step, db)))
  }

  /// Every return, in order.
  public func returns() throws(LedgerError) -> [ReturnRecord] {
    try read("reading the returns") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM returns ORDER BY id").map { row in
        ReturnRecord(
          term: UInt64(clamping: row["term"] as Int64),
          reason: ReturnReason(rawValue: row["reason"]) ?? .unverified, identity: row["identity"] ?? "",
          firstUnverifiedStep: row["first_unverified_step"] ?? row["to_step"] + 1,
          fromStep: row["from_step"], toStep: row["to_step"],
          voidedSteps: row["voided_steps"], voidedEvaluations: row["voided_evaluations"],
          voidedResults: row["voided_results"], at: try Self.time(row["returned_at"]))
      }
    }
  }

  private static func insert(_ record: ReturnRecord, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT INTO returns (term, reason, identity, first_unverified_step, from_step, to_step, voided_steps,
          voided_evaluations, voided_results, returned_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        try stored(record.term), record.reason.rawValue,
        record.reason == .byHand ? nil : record.identity,
        record.reason == .byHand ? nil : record.firstUnverifiedStep, record.fromStep, record.toStep,
        record.voidedSteps, record.voidedEvaluations, record.voidedResults, record.at.text,
      ])
  }
}
