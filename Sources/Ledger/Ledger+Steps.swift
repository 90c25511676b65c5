import GRDB
import JSON

extension Ledger {
  /// Begins the coordinator's term: one more than the last, on the disk before any message can carry it. From
  /// here on a coordinator of an earlier term can commit nothing.
  public func beginTerm() throws(LedgerError) -> UInt64 {
    let begun = try write("beginning a term") { db in
      try db.execute(
        sql: "UPDATE runs SET term = term + 1, state = 'running', reason = NULL, finished_at = NULL")
      return UInt64(clamping: try Int64.fetchOne(db, sql: "SELECT term FROM runs") ?? 0)
    }
    term.withLock { $0 = begun }
    return begun
  }

  /// Records a step, the tiers that it changed and the hand-outs that led to it: all or nothing.
  ///
  /// - Parameter tiers: those whose version changed. Before step 1, see `record(tiers:)`.
  /// - Parameter assignments: finished hand-outs; their workers must be recorded, or be among the notes.
  /// - Parameter shardDigests: those of the shards that count, by workers of the present term.
  /// - Parameter layerDigests: what was said of the way through the layers, by shard; the newest stay.
  /// - Parameter mayBeThere: some of the hand-outs and notes may have been recorded before.
  /// - Throws: `outOfOrder` unless the step follows the last one, `fenced` if a later term has begun, `invalid`
  ///   for a loss, rate or norm that is not a finite number.
  public func commit(
    _ step: StepRecord, tiers: [TierVersionRecord], assignments: [AssignmentRow], notes: [WorkerNote] = [],
    shardDigests: [ShardDigestRecord] = [], layerDigests: [LayerDigestRecord] = [], mayBeThere: Bool = false
  ) throws(LedgerError) {
    guard step.loss?.isFinite ?? true, step.gradNorm.isFinite, step.learningRate.isFinite,
      step.seconds.isFinite
    else {
      throw .invalid(
        "step \(step.step) cannot be committed: loss \(step.loss ?? 0), gradient norm \(step.gradNorm), "
          + "learning rate \(step.learningRate) must be finite numbers")
    }
    try write("committing step \(step.step)") { db in
      let term = try self.checkTerm(db)
      let expected = try Self.lastStep(db) + 1
      guard step.step == expected else { throw LedgerError.outOfOrder(step: step.step, expected: expected) }
      try db.execute(
        sql: """
          INSERT INTO steps (step, loss, tokens, learning_rate, grad_norm, active_tiers, digest, seconds, term,
            committed_at, metrics)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          step.step, step.loss, step.tokens, step.learningRate, step.gradNorm, Self.list(step.activeTiers),
          step.digest, step.seconds, term, step.committedAt.text, step.metrics.text,
        ])
      for tier in tiers { try Self.upsert(tier, db) }
      try Self.insert(assignments, notes, mayBeThere: mayBeThere, db, term: term)
      try Self.insert(shardDigests, step: step.step, db)
      try Self.insert(layerDigests, step: step.step, db)
      try Self.add(step, db)
    }
  }

  /// Records the tiers as they are, before the first step.
  public func record(tiers: [TierVersionRecord]) throws(LedgerError) {
    try write("recording the tiers") { db in
      try self.checkTerm(db)
      for tier in tiers { try Self.upsert(tier, db) }
    }
  }

  /// Records hand-outs that belong to no commit: those of replayed steps, and what was still under way when the
  /// run stopped.
  ///
  /// - Parameter mayBeThere: they may have been recorded before, as part of something that failed later: those that are
  ///   there stay as they are.
  public func record(
    assignments: [AssignmentRow], notes: [WorkerNote] = [], mayBeThere: Bool = false
  ) throws(LedgerError) {
    guard !(assignments.isEmpty && notes.isEmpty) else { return }
    try write("recording workers and hand-outs") { db in
      let term = try self.checkTerm(db)
      try Self.insert(assignments, notes, mayBeThere: mayBeThere, db, term: term)
    }
  }

  /// Those that are there stay as they are.
  static func insert(
    _ assignments: [AssignmentRow], _ notes: [WorkerNote], mayBeThere: Bool, _ db: Database, term: Int64
  ) throws {
    for note in notes {
      if mayBeThere, try isThere(note, db) { continue }
      try insert(note, db, term: term)
    }
    for assignment in assignments {
      if mayBeThere, try isThere(assignment, db) { continue }
      try insert(assignment, db)
    }
  }

  private static func isThere(_ assignment: AssignmentRow, _ db: Database) throws -> Bool {
    try Bool.fetchOne(
      db, sql: "SELECT EXISTS (SELECT 1 FROM assignments WHERE term = ? AND attempt = ?)",
      arguments: [try stored(assignment.term), assignment.attempt]) ?? false
  }

  /// The last committed step; 0 before the first.
  public func lastStep() throws(LedgerError) -> Int {
    try read("reading the last step", Self.lastStep)
  }

  public func step(_ number: Int) throws(LedgerError) -> StepRecord? {
    try read("reading step \(number)") { db in
      guard let row = try Row.fetchOne(db, sql: "SELECT * FROM steps WHERE step = ?", arguments: [number])
      else {
        return nil
      }
      return try Self.step(row)
    }
  }

  /// Those of a range that are committed, in order.
  public func steps(_ range: ClosedRange<Int>) throws(LedgerError) -> [StepRecord] {
    try read("reading steps \(range.lowerBound) to \(range.upperBound)") { db in
      try Row.fetchAll(
        db, sql: "SELECT * FROM steps WHERE step BETWEEN ? AND ? ORDER BY step",
        arguments: [range.lowerBound, range.upperBound]
      ).map(Self.step)
    }
  }

  private static func step(_ row: Row) throws -> StepRecord {
    StepRecord(
      step: row["step"], loss: row["loss"], tokens: row["tokens"], learningRate: row["learning_rate"],
      gradNorm: row["grad_norm"], activeTiers: integers(row["active_tiers"]), digest: row["digest"],
      seconds: row["seconds"], committedAt: try time(row["committed_at"]), metrics: try json(row["metrics"]))
  }

  /// Trained tokens of all committed steps.
  public func trainedTokens() throws(LedgerError) -> Int {
    try read("adding up the trained tokens") { db in
      try Int.fetchOne(db, sql: "SELECT sum(tokens) FROM steps") ?? 0
    }
  }

  /// The rows of train_metrics.jsonl after a step, in order: what a resumed run has yet to write to the file.
  public func stepMetrics(after step: Int) throws(LedgerError) -> [(step: Int, row: JSONValue)] {
    try read("reading the metrics") { db in
      try Self.metrics(db, "SELECT step, metrics FROM steps WHERE step > ? ORDER BY step", after: step)
    }
  }

  /// Takes every row of train_metrics.jsonl in order, a few at a time: a long run has more of them than memory should hold.
  ///
  /// - Throws: `LedgerError`, or what `take` throws.
  public func forEachStep(_ take: (_ step: Int, _ row: JSONValue) throws -> Void) throws {
    var last = 0
    while true {
      let rows = try read("reading the metrics") { db in
        try Self.metrics(
          db, "SELECT step, metrics FROM steps WHERE step > ? ORDER BY step LIMIT 1000", after: last)
      }
      for (step, row) in rows { try take(step, row) }
      guard let newest = rows.last?.step else { return }
      last = newest
    }
  }

  /// The tiers as the last commit left them, by index.
  public func tiers() throws(LedgerError) -> [TierVersionRecord] {
    try read("reading the tiers") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM tiers ORDER BY tier").map { row in
        TierVersionRecord(
          tier: row["tier"], frequency: row["frequency"], parameterCount: row["parameter_count"],
          version: row["version"], digest: row["digest"])
      }
    }
  }

  /// The hand-outs of a step, in the order in which they were made.
  public func assignments(step: Int) throws(LedgerError) -> [AssignmentRow] {
    try read("reading the hand-outs of step \(step)") { db in
      let sql = "SELECT * FROM assignments WHERE step = ? ORDER BY term, attempt"
      return try Row.fetchAll(db, sql: sql, arguments: [step]).map { row in
        AssignmentRow(
          term: UInt64(clamping: row["term"] as Int64), attempt: row["attempt"], purpose: row["purpose"],
          step: row["step"],
          firstMicroBatch: row["first_micro_batch"], lastMicroBatch: row["last_micro_batch"],
          tiers: Self.integers(row["tiers"]), worker: row["worker"],
          handedOutAt: try Self.time(row["handed_out_at"]),
          finishedAt: try (row["finished_at"] as String?).map(Self.time), seconds: row["seconds"],
          outcome: row["outcome"], verified: row["verified"])
      }
    }
  }

  /// The fence: the database's term must be the one that this process began.
  @discardableResult
  func checkTerm(_ db: Database) throws -> Int64 {
    let current = try Int64.fetchOne(db, sql: "SELECT term FROM runs") ?? 0
    let own = term.withLock { $0 }
    guard current == own else {
      throw LedgerError.fenced(path: path, term: own, current: UInt64(clamping: current))
    }
    return current
  }

  static func lastStep(_ db: Database) throws -> Int {
    try Int.fetchOne(db, sql: "SELECT max(step) FROM steps") ?? 0
  }

  private static func upsert(_ tier: TierVersionRecord, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT INTO tiers (tier, frequency, parameter_count, version, digest) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (tier) DO UPDATE SET frequency = excluded.frequency,
          parameter_count = excluded.parameter_count, version = excluded.version, digest = excluded.digest
        """,
      arguments: [tier.tier, tier.frequency, tier.parameterCount, tier.version, tier.digest])
  }

  private static func insert(_ assignment: AssignmentRow, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT INTO assignments (term, attempt, purpose, step, first_micro_batch, last_micro_batch, tiers, worker,
          handed_out_at, finished_at, seconds, outcome, verified)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        try stored(assignment.term), assignment.attempt, assignment.purpose, assignment.step,
        assignment.firstMicroBatch, assignment.lastMicroBatch, list(assignment.tiers), assignment.worker,
        assignment.handedOutAt.text, assignment.finishedAt?.text, assignment.seconds, assignment.outcome,
        assignment.verified,
      ])
  }
}

/// How values stand in columns.
extension Ledger {
  static func list(_ integers: [Int]) -> String { JSONValue.numbers(integers).text }

  static func integers(_ column: String) -> [Int] {
    (try? JSONValue(parsing: column))?.array?.compactMap(\.int) ?? []
  }

  static func stored(_ term: UInt64) throws -> Int64 {
    guard let stored = Int64(exactly: term) else { throw LedgerError.invalid("there is no term \(term)") }
    return stored
  }

  static func time(_ column: String) throws -> Timestamp {
    guard let time = Timestamp(text: column) else {
      throw LedgerError.contradiction("the ledger has \"\(column)\" where a time was expected")
    }
    return time
  }

  static func json(_ column: String) throws -> JSONValue { try JSONValue(parsing: column) }

  static func metrics(_ db: Database, _ sql: String, after step: Int) throws -> [(step: Int, row: JSONValue)]
  {
    try Row.fetchAll(db, sql: sql, arguments: [step]).map { row in
      (row["step"] as Int, try json(row["metrics"]))
    }
  }
}
