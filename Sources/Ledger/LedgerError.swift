import Files
import GRDB

/// Why the ledger could not do what it was asked. The ledger is unchanged after every one of these; after a fault of
/// the disk it must be reopened to be sure of that.
public enum LedgerError: Error, Sendable, CustomStringConvertible {
  case missing(path: String)
  case exists(path: String)
  case notALedger(path: String, reason: String)
  case newer(path: String)
  case damaged(path: String, reason: String)
  /// The volume has no room; the same call succeeds once there is some.
  case diskFull(path: String, doing: String)
  /// The volume does not read, write or sync. Nothing that was not acknowledged before may be taken for written:
  /// see `Ledger.reopen`.
  case disk(path: String, doing: String, reason: String)
  /// Another program holds the ledger; the same call succeeds once it has let go.
  case locked(path: String, doing: String)
  /// A coordinator with a later term has taken the run over.
  case fenced(path: String, term: UInt64, current: UInt64)
  /// A step must be committed right after the one before it, and once.
  case outOfOrder(step: Int, expected: Int)
  /// What is recorded already says otherwise.
  case contradiction(String)
  case invalid(String)
  case failed(path: String, doing: String, reason: String)

  /// Whether the disk is at fault: the same call may succeed later, once the ledger has been reopened.
  public var isDiskFault: Bool {
    switch self {
    case .diskFull, .disk: true
    default: false
    }
  }

  /// Whether another program is in the way: the same call may succeed later.
  public var isLocked: Bool {
    if case .locked = self { true } else { false }
  }

  public var description: String {
    switch self {
    case .missing(let path):
      "\(path): there is no ledger here; give the folder of a run, <output_path>/<experiment_name>"
    case .exists(let path): "\(path): there is a ledger here already"
    case .notALedger(let path, let reason): "\(path): this is not the ledger of a run: \(reason)"
    case .newer(let path):
      "\(path): this ledger was made by a newer version of nested-learning; use that version to go on with the run"
    case .damaged(let path, let reason):
      "\(path): the ledger is damaged (\(reason)); `sqlite3 \(path) .recover` shows what can still be read"
    case .diskFull(let path, let doing):
      "\(path): no space left on the disk while \(doing); free some space on this volume"
    case .disk(let path, let doing, let reason):
      "\(path): \(doing) failed: \(reason); check this volume (the system's log says more) and resume the run"
    case .locked(let path, let doing):
      "\(path): \(doing): the ledger is locked by another program; end what holds it, such as a backup or a sqlite3 "
        + "shell with an open transaction (fuser \(path) names it)"
    case .fenced(let path, let term, let current):
      "\(path): this coordinator (term \(term)) was replaced by another one (term \(current)) and must stop"
    case .outOfOrder(let step, let expected):
      "step \(step) cannot be committed: the ledger expects step \(expected) next"
    case .contradiction(let reason), .invalid(let reason): reason
    case .failed(let path, let doing, let reason): "\(path): \(doing) failed: \(reason)"
    }
  }

  /// Says in the user's words what SQLite reports.
  init(_ error: any Error, path: String, doing: String) {
    if let error = error as? FileError {
      self =
        error.isDiskFull
        ? .diskFull(path: path, doing: doing)
        : error.isDiskFault
          ? .disk(path: path, doing: doing, reason: error.reason)
          : .failed(path: path, doing: doing, reason: error.reason)
      return
    }
    guard let error = error as? DatabaseError else {
      self = error as? LedgerError ?? .failed(path: path, doing: doing, reason: "\(error)")
      return
    }
    let reason = error.message ?? "\(error.extendedResultCode)"
    switch error.resultCode {
    case .SQLITE_FULL: self = .diskFull(path: path, doing: doing)
    case .SQLITE_IOERR, .SQLITE_READONLY:
      self = .disk(path: path, doing: doing, reason: reason)
    case .SQLITE_NOTADB: self = .notALedger(path: path, reason: reason)
    case .SQLITE_CORRUPT: self = .damaged(path: path, reason: reason)
    case .SQLITE_CANTOPEN:
      self = .failed(
        path: path, doing: doing, reason: "\(reason); is the folder there, and may it be written to?")
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      self = .locked(path: path, doing: doing)
    default: self = .failed(path: path, doing: doing, reason: reason)
    }
  }
}
