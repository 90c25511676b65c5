import Files
import Ledger

/// Why a run folder cannot be made or opened.
public enum RunFolderError: Error, Sendable, CustomStringConvertible {
  case exists(path: String)
  /// Something that is not a run has the name of the folder.
  case inTheWay(path: String)
  case notARun(path: String, missing: String)
  case locked(path: String, holder: String?)
  case invalidName(String)
  case damaged(path: String, reason: String)
  case file(FileError)
  case ledger(LedgerError)
  case other(path: String, reason: String)

  public var description: String {
    switch self {
    case .exists(let path):
      "\(path): there is a run here already; go on with it (nl-coord resume \(path)), or choose another name "
        + "(--experiment-name)"
    case .inTheWay(let path):
      "\(path): there is something here that is not a run; choose another name (--experiment-name) or another "
        + "folder (--output-path)"
    case .notARun(let path, let missing):
      "\(path): this is not the folder of a run: it has no \(missing); give <output_path>/<experiment_name>"
    case .locked(let path, let holder):
      "\(path): another coordinator works on this run\(holder.map { " (\($0))" } ?? ""); stop it first"
    case .invalidName(let name):
      "experiment_name \"\(name)\": it names a folder, so it must have 1 to 200 bytes, no '/', and not begin with '.'"
    case .damaged(let path, let reason): "\(path): \(reason)"
    case .file(let error): error.description
    case .ledger(let error): error.description
    case .other(let path, let reason): "\(path): \(reason)"
    }
  }

  init(_ error: any Error, path: String) {
    self =
      switch error {
      case let error as RunFolderError: error
      case let error as FolderLock.Taken: .locked(path: path, holder: error.holder)
      case let error as FileError: .file(error)
      case let error as LedgerError: .ledger(error)
      default: .other(path: path, reason: "\(error)")
      }
  }
}
