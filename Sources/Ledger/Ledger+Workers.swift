import GRDB

extension Ledger {
  /// Records a worker that was welcomed; before the first commit that names it, or with it.
  public func record(worker: WorkerRecord) throws(LedgerError) {
    try record(assignments: [], notes: [.joined(worker)])
  }

  /// Records that a worker of the present term is gone, and why.
  public func workerLeft(_ id: Int, reason: String, at time: Timestamp = .now()) throws(LedgerError) {
    try record(assignments: [], notes: [.left(id: id, reason: reason, at: time)])
  }

  /// The workers of all terms, in the order in which they were welcomed.
  public func workers() throws(LedgerError) -> [WorkerRecord] {
    try read("reading the workers") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM workers ORDER BY term, worker").map { row in
        WorkerRecord(
          term: UInt64(clamping: row["term"] as Int64), id: row["worker"], identity: row["identity"],
          host: row["host"], pid: row["pid"], threads: row["threads"], isa: row["isa"],
          numericProfile: row["numeric_profile"],
          program: row["program"], isLocal: row["is_local"], joinedAt: try Self.time(row["joined_at"]))
      }
    }
  }

  /// The identities that are never admitted again, in the order of their names.
  public func quarantined() throws(LedgerError) -> [QuarantineRecord] {
    try read("reading the quarantine") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM quarantine ORDER BY identity").map { row in
        QuarantineRecord(
          identity: row["identity"], term: UInt64(clamping: row["term"] as Int64), worker: row["worker"],
          reason: row["reason"], at: try Self.time(row["quarantined_at"]))
      }
    }
  }

  static func insert(_ note: WorkerNote, _ db: Database, term: Int64) throws {
    switch note {
    case .joined(let worker): try insert(worker, db)
    case .left(let id, let reason, let time):
      try db.execute(
        sql:
          "UPDATE workers SET left_at = ?, left_reason = ? WHERE term = ? AND worker = ? AND left_at IS NULL",
        arguments: [time.text, reason, term, id])
    case .quarantined(let record):
      // The first finding stays.
      try db.execute(
        sql: """
          INSERT INTO quarantine (identity, term, worker, reason, quarantined_at) VALUES (?, ?, ?, ?, ?)
          ON CONFLICT DO NOTHING
          """,
        arguments: [
          record.identity, try stored(record.term), record.worker, record.reason, record.at.text,
        ])
    }
  }

  /// Whether a worker that joined is in the record; the other notes can be made twice.
  static func isThere(_ note: WorkerNote, _ db: Database) throws -> Bool {
    guard case .joined(let worker) = note else { return false }
    return try Bool.fetchOne(
      db, sql: "SELECT EXISTS (SELECT 1 FROM workers WHERE term = ? AND worker = ?)",
      arguments: [try stored(worker.term), worker.id]) ?? false
  }

  private static func insert(_ worker: WorkerRecord, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT INTO workers (term, worker, identity, host, pid, threads, isa, numeric_profile, program, is_local,
          joined_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        try stored(worker.term), worker.id, worker.identity, worker.host, worker.pid, worker.threads,
        worker.isa,
        worker.numericProfile, worker.program, worker.isLocal, worker.joinedAt.text,
      ])
  }
}
