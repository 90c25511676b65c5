import Files
import Ledger
import Training

/// What is written cannot be written now: the volume is full, broken or gone, or another program holds the ledger. The
/// same work may succeed later; every other error is no matter of waiting.
struct DiskFault: Error, Sendable, Equatable, CustomStringConvertible {
  let cause: WaitCause
  /// What was to be written, why that failed, and what helps.
  let description: String

  /// The fault behind an error of a file, the ledger, a snapshot or a checkpoint; nil if waiting does not help.
  init?(_ error: any Error) {
    let isFault =
      switch error {
      case let error as FileError: error.isDiskFault
      case let error as LedgerError: error.isDiskFault || error.isLocked
      case let error as SnapshotError: error.isDiskFault
      case let error as CheckpointError: error.isDiskFault
      default: false
      }
    guard isFault else { return nil }
    cause = (error as? LedgerError)?.isLocked == true ? .ledger : .disk
    description = "\(error)"
  }
}
