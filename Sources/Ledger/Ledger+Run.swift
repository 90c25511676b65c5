import GRDB
import JSON

extension Ledger {
  /// Where the run stands.
  public func status() throws(LedgerError) -> RunRow {
    try read("reading the run") { db in
      guard let row = try Row.fetchOne(db, sql: "SELECT * FROM runs") else {
        throw LedgerError.notALedger(path: self.path, reason: "there is no run in it")
      }
      return RunRow(
        run: RunRecord(
          experimentName: row["experiment_name"], baseModelPath: row["base_model_path"],
          configuration: try Self.json(row["config"]), program: row["program"],
          createdAt: try Self.time(row["created_at"])),
        term: UInt64(clamping: row["term"] as Int64), state: row["state"], reason: row["reason"],
        lastStep: try Self.lastStep(db))
    }
  }

  /// Records how the run ended.
  public func finish(_ outcome: RunOutcome, at time: Timestamp = .now()) throws(LedgerError) {
    try write("recording the end of the run") { db in
      try self.checkTerm(db)
      try db.execute(
        sql: "UPDATE runs SET state = ?, reason = ?, finished_at = ?",
        arguments: [outcome.state, outcome.reason, time.text])
    }
  }

  /// Records an evaluation and its hand-outs. A replay may record one again: it must have the same loss to the
  /// last bit, and changes nothing.
  public func record(
    evaluation: EvaluationRecord, plan: TierPlanRecord? = nil, assignments: [AssignmentRow] = [],
    notes: [WorkerNote] = [],
    mayBeThere: Bool = false
  ) throws(LedgerError) {
    guard evaluation.loss.isFinite, !evaluation.perplexity.isNaN else {
      throw .invalid("the evaluation after step \(evaluation.step) has the loss \(evaluation.loss)")
    }
    try write("recording the evaluation after step \(evaluation.step)") { db in
      let term = try self.checkTerm(db)
      let known = try Double.fetchOne(
        db, sql: "SELECT loss FROM evaluations WHERE step = ?", arguments: [evaluation.step])
      if let known, known != evaluation.loss {
        throw LedgerError.contradiction(
          "the evaluation after step \(evaluation.step) gives the loss \(evaluation.loss), but \(known) is recorded"
        )
      }
      try Self.insert(assignments, notes, mayBeThere: mayBeThere, db, term: term)
      if let plan { try Self.insert(plan, db, term: term) }
      if known != nil { return }
      try db.execute(
        sql: """
          INSERT INTO evaluations (step, loss, perplexity, tokens, is_best, seconds, evaluated_at, metrics)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          evaluation.step, evaluation.loss, evaluation.perplexity, evaluation.tokens, evaluation.isBest,
          evaluation.seconds, evaluation.evaluatedAt.text, evaluation.metrics.text,
        ])
    }
  }

  /// All evaluations, in the order of steps: as long as the run. See `evaluation(after:)`.
  public func evaluations() throws(LedgerError) -> [EvaluationRecord] {
    try read("reading the evaluations") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM evaluations ORDER BY step").map(Self.evaluation)
    }
  }

  /// The evaluation after a step, if there is one.
  public func evaluation(after step: Int) throws(LedgerError) -> EvaluationRecord? {
    try read("reading the evaluation after step \(step)") { db in
      try Row.fetchOne(db, sql: "SELECT * FROM evaluations WHERE step = ?", arguments: [step])
        .map(Self.evaluation)
    }
  }

  /// The step after which the last evaluation took place; 0 before the first.
  public func lastEvaluatedStep() throws(LedgerError) -> Int {
    try read("reading the last evaluation") { db in
      try Int.fetchOne(db, sql: "SELECT max(step) FROM evaluations") ?? 0
    }
  }

  private static func evaluation(_ row: Row) throws -> EvaluationRecord {
    EvaluationRecord(
      step: row["step"], loss: row["loss"], perplexity: row["perplexity"], tokens: row["tokens"],
      isBest: row["is_best"], seconds: row["seconds"], evaluatedAt: try time(row["evaluated_at"]),
      metrics: try json(row["metrics"]))
  }

  /// Records where the model and the data are now, as the run's config has it.
  public func record(baseModelPath: String, configuration: JSONValue) throws(LedgerError) {
    try write("recording the run's paths") { db in
      try self.checkTerm(db)
      try db.execute(
        sql: "UPDATE runs SET base_model_path = ?, config = ?",
        arguments: [baseModelPath, configuration.text])
    }
  }

  /// The rows of eval_metrics.jsonl after a step, in order.
  public func evaluationMetrics(after step: Int) throws(LedgerError) -> [(step: Int, row: JSONValue)] {
    try read("reading the metrics") { db in
      try Self.metrics(db, "SELECT step, metrics FROM evaluations WHERE step > ? ORDER BY step", after: step)
    }
  }
}

/// The files that the ledger refers to. A file is written and synced before its row, and its row is gone before
/// the file is deleted: the ledger never names a file that is not there.
extension Ledger {
  /// Records a checkpoint folder; one of the same path is replaced.
  public func record(checkpoint: CheckpointRecord) throws(LedgerError) {
    try write("recording \(checkpoint.path)") { db in
      try self.checkTerm(db)
      try db.execute(
        sql: """
          INSERT OR REPLACE INTO checkpoints (path, step, is_best, is_final, best_val_loss, written_at)
          VALUES (?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          checkpoint.path, checkpoint.step, checkpoint.isBest, checkpoint.isFinal,
          checkpoint.bestValidationLoss,
          checkpoint.writtenAt.text,
        ])
    }
  }

  /// Removes a checkpoint from the record; nothing happens if it is not there.
  public func forget(checkpoint path: String) throws(LedgerError) {
    try write("forgetting \(path)") { db in
      try self.checkTerm(db)
      try db.execute(sql: "DELETE FROM checkpoints WHERE path = ?", arguments: [path])
    }
  }

  /// The checkpoints that exist, by step.
  public func checkpoints() throws(LedgerError) -> [CheckpointRecord] {
    try read("reading the checkpoints") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM checkpoints ORDER BY step, path").map { row in
        CheckpointRecord(
          path: row["path"], step: row["step"], isBest: row["is_best"], isFinal: row["is_final"],
          bestValidationLoss: row["best_val_loss"], writtenAt: try Self.time(row["written_at"]))
      }
    }
  }

  /// Records a snapshot whose files are on the disk; one of the same step is replaced.
  public func record(snapshot: SnapshotRecord) throws(LedgerError) {
    try write("recording the snapshot of step \(snapshot.step)") { db in
      try self.checkTerm(db)
      try db.execute(
        sql: "INSERT OR REPLACE INTO snapshots (step, manifest, bytes, written_at) VALUES (?, ?, ?, ?)",
        arguments: [snapshot.step, snapshot.manifest, snapshot.bytes, snapshot.writtenAt.text])
    }
  }

  /// The snapshots, newest first.
  public func snapshots() throws(LedgerError) -> [SnapshotRecord] {
    try read("reading the snapshots") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM snapshots ORDER BY step DESC").map(Self.snapshot)
    }
  }

  public func latestSnapshot() throws(LedgerError) -> SnapshotRecord? {
    try read("reading the last snapshot") { db in
      try Row.fetchOne(db, sql: "SELECT * FROM snapshots ORDER BY step DESC LIMIT 1").map(Self.snapshot)
    }
  }

  private static func snapshot(_ row: Row) throws -> SnapshotRecord {
    SnapshotRecord(
      step: row["step"], manifest: row["manifest"], bytes: row["bytes"],
      writtenAt: try time(row["written_at"]))
  }

  /// Forgets all snapshots but those of these steps, and returns those that stay; their files are what the `state`
  /// folder must keep.
  @discardableResult
  public func pruneSnapshots(keeping steps: [Int]) throws(LedgerError) -> [SnapshotRecord] {
    try write("forgetting old snapshots") { db in
      try self.checkTerm(db)
      try db.execute(
        sql: "DELETE FROM snapshots WHERE step NOT IN (SELECT value FROM json_each(?))",
        arguments: [Self.list(steps)])
    }
    return try snapshots()
  }
}
