import GRDB
import JSON
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The record of a run: an SQLite database in which a step stands whole or not at all.
///
/// Every call that writes is one transaction, on the disk when the call returns. Other programs (`sqlite3`, a
/// status page) may read at any time. The tables are described in SCHEMA.md.
///
/// ```swift
/// let ledger = try Ledger.create(at: "runs/demo/state.sqlite", run: run)
/// let term = try ledger.beginTerm()
/// try ledger.commit(step, tiers: changedTiers, assignments: handOuts)
/// ```
public final class Ledger: Sendable {
  public enum Access: Sendable {
    case readWrite
    /// For looking at a run that somebody else may be working on; every call that writes fails.
    case readOnly
  }

  public let path: String
  private let mode: Access
  private let busySeconds: Double
  /// Nil while it is closed: for good, or because reopening failed.
  private let connections: Mutex<(any DatabaseWriter)?>
  /// A write has failed for the disk's sake, and the database was not opened anew since.
  private let isSuspect = Mutex(false)
  /// The term that this process began; 0 before `beginTerm`.
  let term = Mutex<UInt64>(0)

  private init(path: String, access: Access, busySeconds: Double) throws(LedgerError) {
    self.path = path
    mode = access
    self.busySeconds = busySeconds
    connections = Mutex(try Self.connect(path, access, busySeconds))
  }

  private static func connect(
    _ path: String, _ access: Access, _ busySeconds: Double
  ) throws(LedgerError) -> any DatabaseWriter {
    do {
      var configuration = Configuration()
      configuration.readonly = access == .readOnly
      configuration.busyMode = .timeout(busySeconds)
      configuration.maximumReaderCount = 2
      // Whoever looks at a run opens it for each look, and one connection is enough for that.
      if access == .readOnly { return try DatabaseQueue(path: path, configuration: configuration) }
      let pool = try DatabasePool(path: path, configuration: configuration)
      // A commit must survive the loss of power: a worker that heard of step t+1 may not outlive step t.
      // The pool sets NORMAL when it turns the write-ahead log on, so this comes after.
      try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      return pool
    } catch {
      throw LedgerError(error, path: path, doing: "opening the ledger")
    }
  }

  /// Makes a new ledger with its run in it. The file must not exist; its folder must.
  ///
  /// - Parameter busySeconds: how long a call waits for another program that holds it.
  public static func create(
    at path: String, run: RunRecord, busySeconds: Double = usualBusySeconds
  ) throws(LedgerError) -> Ledger {
    guard access(path, F_OK) != 0 else { throw .exists(path: path) }
    let ledger = try Ledger(path: path, access: .readWrite, busySeconds: busySeconds)
    do {
      try Schema.migrator.migrate(ledger.pool())
    } catch {
      throw LedgerError(error, path: path, doing: "creating the ledger")
    }
    try ledger.write("recording the run") { db in
      try db.execute(
        sql: """
          INSERT INTO runs (id, experiment_name, base_model_path, config, program, created_at)
          VALUES (1, ?, ?, ?, ?, ?)
          """,
        arguments: [
          run.experimentName, run.baseModelPath, run.configuration.text, run.program, run.createdAt.text,
        ])
    }
    return ledger
  }

  /// How long a call waits for another program that holds the ledger, before it throws `LedgerError.locked`.
  public static let usualBusySeconds = 5.0

  /// Opens the ledger of a run, and brings an older one up to date. It takes as long for a long run as for a short one:
  /// what is damaged is found by `checkWhatIsNeeded` and `findings`.
  ///
  /// - Parameter busySeconds: how long a call waits for another program that holds the ledger.
  public static func open(
    at path: String, access mode: Access = .readWrite, busySeconds: Double = usualBusySeconds
  ) throws(LedgerError) -> Ledger {
    guard access(path, F_OK) == 0 else { throw .missing(path: path) }
    if mode == .readWrite { try WriteAheadLog.renew(of: path, busySeconds: busySeconds) }
    let ledger = try Ledger(path: path, access: mode, busySeconds: busySeconds)
    do { try ledger.prepare() } catch {
      // Whatever of the log is not on the disk must not be moved as the database is closed.
      ledger.isSuspect.withLock { $0 = mode == .readWrite && error.isDiskFault }
      try? ledger.close()
      throw error
    }
    return ledger
  }

  /// Makes sure that it is a ledger of this version.
  private func prepare() throws(LedgerError) {
    try read("checking the ledger") { db in
      let id = try Int32.fetchOne(db, sql: "PRAGMA application_id")
      guard id == Schema.applicationID else {
        throw LedgerError.notALedger(path: self.path, reason: "it is an SQLite database of another program")
      }
      if try Schema.migrator.hasBeenSuperseded(db) { throw LedgerError.newer(path: self.path) }
    }
    guard mode == .readWrite else { return }
    // A reader in the way is no harm here: the log is emptied by the next checkpoint then.
    _ = try emptyLog()
    do {
      try Schema.migrator.migrate(pool())
    } catch {
      throw LedgerError(error, path: path, doing: "bringing the ledger up to date")
    }
  }

  /// Closes the database; everything is in the one file then. Further calls fail.
  public func close() throws(LedgerError) {
    guard let pool = connections.withLock({ $0 }) else { return }
    // Closing empties the log as well.
    let renewal = Result { () throws(LedgerError) in if isSuspect.withLock({ $0 }) { try renewLog() } }
    do { try pool.close() } catch {
      throw LedgerError(error, path: path, doing: "closing the ledger")
    }
    try renewal.get()
  }

  /// Opens the database anew after a write or a sync has failed. The next write does so by itself, if nobody else has, and
  /// so does reading, if the database is closed.
  ///
  /// A failed sync may have dropped what was written, while reading still shows it, and the next sync succeeds
  /// without writing it. So nothing that is only in the write-ahead log counts as written: it is written once more, and
  /// this connection, which knows which of it was committed, copies that into the database and syncs it, and empties the
  /// log.
  ///
  /// - Throws: as long as the disk does not do it. Then the ledger is as it was, or closed; try again.
  public func reopen() throws(LedgerError) {
    if let pool = connections.withLock({ $0 }) {
      try renewLog()
      guard try emptyLog() else {
        throw .locked(path: path, doing: "emptying the write-ahead log")
      }
      do { try pool.close() } catch { throw LedgerError(error, path: path, doing: "closing the ledger") }
      connections.withLock { $0 = nil }
    }
    let pool = try Self.connect(path, mode, busySeconds)
    connections.withLock { $0 = pool }
    try readAsItIs("checking the ledger") { db in
      guard try Int32.fetchOne(db, sql: "PRAGMA application_id") == Schema.applicationID else {
        throw LedgerError.notALedger(path: self.path, reason: "it is an SQLite database of another program")
      }
    }
    isSuspect.withLock { $0 = false }
  }

  /// Moves everything from the write-ahead log into the database; false if another program's reading prevents it.
  private func emptyLog() throws(LedgerError) -> Bool {
    let pool = try pool()
    do {
      return try pool.writeWithoutTransaction { db in
        try Bool.fetchOne(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)") == false
      }
    } catch {
      throw LedgerError(error, path: path, doing: "emptying the write-ahead log")
    }
  }

  /// Puts the log on the disk as it is seen, before any of it is moved into the database: see `WriteAheadLog`. Even what
  /// was committed may lack there, as the pool commits once, before it is told to sync at each commit.
  private func renewLog() throws(LedgerError) {
    let pool = try pool()
    do {
      // Nobody else writes to it meanwhile.
      try pool.writeWithoutTransaction { db in
        try db.inTransaction(.immediate) {
          try WriteAheadLog.renew(of: path)
          return .rollback
        }
      }
    } catch {
      throw LedgerError(error, path: path, doing: "syncing the write-ahead log")
    }
  }

  func pool() throws(LedgerError) -> any DatabaseWriter {
    guard let pool = connections.withLock({ $0 }) else {
      throw .disk(path: path, doing: "using the ledger", reason: "it could not be opened again")
    }
    return pool
  }

  /// One transaction: all of `body` or nothing.
  func write<Value>(_ doing: String, _ body: (Database) throws -> Value) throws(LedgerError) -> Value {
    if isSuspect.withLock({ $0 }) { try reopen() }
    let pool = try pool()
    do { return try pool.write(body) } catch {
      let error = LedgerError(error, path: path, doing: doing)
      if error.isDiskFault { isSuspect.withLock { $0 = true } }
      throw error
    }
  }

  func read<Value>(_ doing: String, _ body: (Database) throws -> Value) throws(LedgerError) -> Value {
    if connections.withLock({ $0 == nil }) { try reopen() }
    return try readAsItIs(doing, body)
  }

  private func readAsItIs<Value>(
    _ doing: String, _ body: (Database) throws -> Value
  ) throws(LedgerError) -> Value {
    let pool = try pool()
    do { return try pool.read(body) } catch { throw LedgerError(error, path: path, doing: doing) }
  }
}
