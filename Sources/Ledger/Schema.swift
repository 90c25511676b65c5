import GRDB

/// The tables of a ledger. SCHEMA.md describes them, and a test holds the two together.
enum Schema {
  /// Marks the file as ours: "NLdg" in SQLite's header.
  static let applicationID: Int32 = 0x4E4C_6467

  /// Migrations are only ever added at the end: a ledger that exists was made by those before.
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: runs, steps, tiers, workers, assignments, evaluations, files") { db in
      try db.execute(sql: "PRAGMA application_id = \(applicationID)")
      for table in firstTables { try db.execute(sql: table) }
    }
    migrator.registerMigration("2: identities, verified results, going back") { db in
      try renewWorkersAndAssignments(db)
      for table in tablesOfGoingBack { try db.execute(sql: table) }
    }
    migrator.registerMigration("3: steps without a loss") { db in
      try db.execute(sql: "ALTER TABLE steps RENAME TO steps_2")
      try db.execute(sql: stepsTable)
      try db.execute(sql: "INSERT INTO steps SELECT * FROM steps_2; DROP TABLE steps_2")
    }
    migrator.registerMigration("4: digests of shards, totals, returns by hand") { db in
      try db.execute(sql: "ALTER TABLE returns RENAME TO returns_2")
      for table in tablesOfTotals { try db.execute(sql: table) }
      try db.execute(
        sql: """
          INSERT INTO returns SELECT id, term, 'unverified', identity, first_unverified_step, from_step, to_step,
            voided_steps, voided_evaluations, voided_results, returned_at FROM returns_2;
          DROP TABLE returns_2;
          """)
      try Ledger.sumUp(db)
    }
    migrator.registerMigration("5: tier plans") { db in try db.execute(sql: tierPlansTable) }
    migrator.registerMigration("6: digests of layers") { db in try db.execute(sql: layerDigestsTable) }
    return migrator
  }

  private static let tierPlansTable = """
    CREATE TABLE tier_plans (
      number INTEGER PRIMARY KEY CHECK (number >= 1),
      first_step INTEGER NOT NULL CHECK (first_step >= 1),
      plan TEXT NOT NULL CHECK (json_valid(plan)),
      term INTEGER NOT NULL
    ) STRICT
    """

  private static let layerDigestsTable = """
    CREATE TABLE layer_digests (
      step INTEGER PRIMARY KEY CHECK (step >= 1),
      digests BLOB NOT NULL,
      total INTEGER NOT NULL
    ) STRICT
    """

  private static let stepsTable = """
    CREATE TABLE steps (
      step INTEGER PRIMARY KEY CHECK (step >= 1),
      loss REAL,
      tokens INTEGER NOT NULL CHECK (tokens >= 0),
      learning_rate REAL NOT NULL,
      grad_norm REAL NOT NULL,
      active_tiers TEXT NOT NULL CHECK (json_valid(active_tiers)),
      digest TEXT NOT NULL,
      seconds REAL NOT NULL,
      term INTEGER NOT NULL,
      committed_at TEXT NOT NULL,
      metrics TEXT NOT NULL CHECK (json_valid(metrics))
    ) STRICT
    """

  /// Both tables with their new columns. The old ones move aside first, so that the new ones are made by the very
  /// text that SCHEMA.md shows.
  private static func renewWorkersAndAssignments(_ db: Database) throws {
    try db.execute(
      sql: """
        DROP INDEX assignments_by_step;
        DROP INDEX assignments_by_worker;
        ALTER TABLE assignments RENAME TO assignments_1;
        ALTER TABLE workers RENAME TO workers_1;
        """)
    for table in renewedTables { try db.execute(sql: table) }
    try db.execute(
      sql: """
        INSERT INTO workers SELECT term, worker, host || '/' || pid, host, pid, threads, isa, numeric_profile, program,
          is_local, joined_at, left_at, left_reason FROM workers_1;
        INSERT INTO assignments SELECT term, attempt, purpose, step, first_micro_batch, last_micro_batch, tiers, worker,
          handed_out_at, finished_at, seconds, outcome, 0 FROM assignments_1;
        DROP TABLE assignments_1;
        DROP TABLE workers_1;
        """)
  }

  private static let renewedTables = [
    """
    CREATE TABLE workers (
      term INTEGER NOT NULL,
      worker INTEGER NOT NULL,
      identity TEXT NOT NULL,
      host TEXT NOT NULL,
      pid INTEGER NOT NULL,
      threads INTEGER NOT NULL,
      isa TEXT NOT NULL,
      numeric_profile TEXT NOT NULL,
      program TEXT NOT NULL,
      is_local INTEGER NOT NULL CHECK (is_local IN (0, 1)),
      joined_at TEXT NOT NULL,
      left_at TEXT,
      left_reason TEXT,
      PRIMARY KEY (term, worker)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE assignments (
      term INTEGER NOT NULL,
      attempt INTEGER NOT NULL,
      purpose TEXT NOT NULL
        CHECK (purpose IN ('train', 'evaluate', 'collect', 'recompute', 'flush')),
      step INTEGER NOT NULL,
      first_micro_batch INTEGER NOT NULL,
      last_micro_batch INTEGER NOT NULL CHECK (last_micro_batch >= first_micro_batch),
      tiers TEXT NOT NULL CHECK (json_valid(tiers)),
      worker INTEGER NOT NULL,
      handed_out_at TEXT NOT NULL,
      finished_at TEXT,
      seconds REAL,
      outcome TEXT NOT NULL,
      verified INTEGER NOT NULL CHECK (verified IN (0, 1)),
      PRIMARY KEY (term, attempt),
      FOREIGN KEY (term, worker) REFERENCES workers (term, worker)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX assignments_by_step ON assignments (step)",
    "CREATE INDEX assignments_by_worker ON assignments (term, worker)",
  ]

  private static let tablesOfGoingBack = [
    """
    CREATE TABLE quarantine (
      identity TEXT PRIMARY KEY,
      term INTEGER NOT NULL,
      worker INTEGER NOT NULL,
      reason TEXT NOT NULL,
      quarantined_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE returns (
      id INTEGER PRIMARY KEY,
      term INTEGER NOT NULL,
      identity TEXT NOT NULL,
      first_unverified_step INTEGER NOT NULL,
      from_step INTEGER NOT NULL,
      to_step INTEGER NOT NULL,
      voided_steps INTEGER NOT NULL,
      voided_evaluations INTEGER NOT NULL,
      voided_results INTEGER NOT NULL,
      returned_at TEXT NOT NULL
    ) STRICT
    """,
  ]

  private static let tablesOfTotals = [
    """
    CREATE TABLE returns (
      id INTEGER PRIMARY KEY,
      term INTEGER NOT NULL,
      reason TEXT NOT NULL CHECK (reason IN ('unverified', 'by hand')),
      identity TEXT,
      first_unverified_step INTEGER,
      from_step INTEGER NOT NULL,
      to_step INTEGER NOT NULL,
      voided_steps INTEGER NOT NULL,
      voided_evaluations INTEGER NOT NULL,
      voided_results INTEGER NOT NULL,
      returned_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE shard_digests (
      step INTEGER PRIMARY KEY CHECK (step >= 1),
      digests BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE assignment_totals (
      term INTEGER NOT NULL,
      worker INTEGER NOT NULL,
      purpose TEXT NOT NULL,
      outcome TEXT NOT NULL,
      verified INTEGER NOT NULL CHECK (verified IN (0, 1)),
      first_step INTEGER NOT NULL,
      last_step INTEGER NOT NULL,
      shards INTEGER NOT NULL CHECK (shards >= 1),
      seconds REAL NOT NULL,
      PRIMARY KEY (term, worker, purpose, outcome, verified),
      FOREIGN KEY (term, worker) REFERENCES workers (term, worker)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE step_totals (
      metric TEXT PRIMARY KEY,
      total REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
  ]

  private static let firstTables = [
    """
    CREATE TABLE runs (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      experiment_name TEXT NOT NULL,
      base_model_path TEXT NOT NULL,
      config TEXT NOT NULL CHECK (json_valid(config)),
      program TEXT NOT NULL,
      created_at TEXT NOT NULL,
      term INTEGER NOT NULL DEFAULT 0,
      state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'stopped', 'failed')),
      reason TEXT,
      finished_at TEXT
    ) STRICT
    """,
    """
    CREATE TABLE steps (
      step INTEGER PRIMARY KEY CHECK (step >= 1),
      loss REAL NOT NULL,
      tokens INTEGER NOT NULL CHECK (tokens >= 0),
      learning_rate REAL NOT NULL,
      grad_norm REAL NOT NULL,
      active_tiers TEXT NOT NULL CHECK (json_valid(active_tiers)),
      digest TEXT NOT NULL,
      seconds REAL NOT NULL,
      term INTEGER NOT NULL,
      committed_at TEXT NOT NULL,
      metrics TEXT NOT NULL CHECK (json_valid(metrics))
    ) STRICT
    """,
    """
    CREATE TABLE tiers (
      tier INTEGER PRIMARY KEY CHECK (tier >= 0),
      frequency INTEGER NOT NULL CHECK (frequency >= 1),
      parameter_count INTEGER NOT NULL,
      version INTEGER NOT NULL CHECK (version >= 0),
      digest TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE workers (
      term INTEGER NOT NULL,
      worker INTEGER NOT NULL,
      host TEXT NOT NULL,
      pid INTEGER NOT NULL,
      threads INTEGER NOT NULL,
      isa TEXT NOT NULL,
      numeric_profile TEXT NOT NULL,
      program TEXT NOT NULL,
      is_local INTEGER NOT NULL CHECK (is_local IN (0, 1)),
      joined_at TEXT NOT NULL,
      left_at TEXT,
      left_reason TEXT,
      PRIMARY KEY (term, worker)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE assignments (
      term INTEGER NOT NULL,
      attempt INTEGER NOT NULL,
      purpose TEXT NOT NULL CHECK (purpose IN ('train', 'evaluate')),
      step INTEGER NOT NULL,
      first_micro_batch INTEGER NOT NULL,
      last_micro_batch INTEGER NOT NULL CHECK (last_micro_batch >= first_micro_batch),
      tiers TEXT NOT NULL CHECK (json_valid(tiers)),
      worker INTEGER NOT NULL,
      handed_out_at TEXT NOT NULL,
      finished_at TEXT,
      seconds REAL,
      outcome TEXT NOT NULL,
      PRIMARY KEY (term, attempt),
      FOREIGN KEY (term, worker) REFERENCES workers (term, worker)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX assignments_by_step ON assignments (step)",
    "CREATE INDEX assignments_by_worker ON assignments (term, worker)",
    """
    CREATE TABLE evaluations (
      step INTEGER PRIMARY KEY CHECK (step >= 0),
      loss REAL NOT NULL,
      perplexity REAL NOT NULL,
      tokens INTEGER NOT NULL,
      is_best INTEGER NOT NULL CHECK (is_best IN (0, 1)),
      seconds REAL NOT NULL,
      evaluated_at TEXT NOT NULL,
      metrics TEXT NOT NULL CHECK (json_valid(metrics))
    ) STRICT
    """,
    """
    CREATE TABLE checkpoints (
      path TEXT PRIMARY KEY,
      step INTEGER NOT NULL,
      is_best INTEGER NOT NULL CHECK (is_best IN (0, 1)),
      is_final INTEGER NOT NULL CHECK (is_final IN (0, 1)),
      best_val_loss REAL,
      written_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE snapshots (
      step INTEGER PRIMARY KEY CHECK (step >= 0),
      manifest TEXT NOT NULL,
      bytes INTEGER NOT NULL,
      written_at TEXT NOT NULL
    ) STRICT
    """,
  ]
}
