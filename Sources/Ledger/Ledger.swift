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
  let pool: DatabasePool
  /// The term that this process began; 0 before `beginTerm`.
  let term = Mutex<UInt64>(0)

  private init(path: String, access: Access) throws(LedgerError) {
    self.path = path
    do {
      var configuration = Configuration()
      configuration.readonly = access == .readOnly
      configuration.busyMode = .timeout(5)
      configuration.maximumReaderCount = 2
      pool = try DatabasePool(path: path, configuration: configuration)
      if access == .readWrite {
        // A commit must survive the loss of power: a worker that heard of step t+1 may not outlive step t.
        // The pool sets NORMAL when it turns the write-ahead log on, so this comes after.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
      }
    } catch {
      throw LedgerError(error, path: path, doing: "opening the ledger")
    }
  }

  /// Makes a new ledger with its run in it. The file must not exist; its folder must.
  public static func create(at path: String, run: RunRecord) throws(LedgerError) -> Ledger {
    guard access(path, F_OK) != 0 else { throw .exists(path: path) }
    let ledger = try Ledger(path: path, access: .readWrite)
    do {
      try Schema.migrator.migrate(ledger.pool)
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

  /// Opens the ledger of a run, brings an older one up to date, and checks it for damage.
  public static func open(at path: String, access mode: Access = .readWrite) throws(LedgerError) -> Ledger {
    guard access(path, F_OK) == 0 else { throw .missing(path: path) }
    let ledger = try Ledger(path: path, access: mode)
    try ledger.read("checking the ledger") { db in
      let id = try Int32.fetchOne(db, sql: "PRAGMA application_id")
      guard id == Schema.applicationID else {
        throw LedgerError.notALedger(path: path, reason: "it is an SQLite database of another program")
      }
      if try Schema.migrator.hasBeenSuperseded(db) { throw LedgerError.newer(path: path) }
      let finding = try String.fetchOne(db, sql: "PRAGMA quick_check(1)") ?? "no answer"
      if finding != "ok" { throw LedgerError.damaged(path: path, reason: finding) }
    }
    if mode == .readWrite {
      do {
        try Schema.migrator.migrate(ledger.pool)
      } catch {
        throw LedgerError(error, path: path, doing: "bringing the ledger up to date")
      }
    }
    return ledger
  }

  /// Closes the database; everything is in the one file then. Further calls fail.
  public func close() throws(LedgerError) {
    do { try pool.close() } catch { throw LedgerError(error, path: path, doing: "closing the ledger") }
  }

  /// One transaction: all of `body` or nothing.
  func write<Value>(_ doing: String, _ body: (Database) throws -> Value) throws(LedgerError) -> Value {
    do { return try pool.write(body) } catch { throw LedgerError(error, path: path, doing: doing) }
  }

  func read<Value>(_ doing: String, _ body: (Database) throws -> Value) throws(LedgerError) -> Value {
    do { return try pool.read(body) } catch { throw LedgerError(error, path: path, doing: doing) }
  }
}
