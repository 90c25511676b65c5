import Files
import Ledger

/// A volume that does not take what is written: full, broken or gone. The same work may succeed later; every other
/// error is no matter of waiting.
struct DiskFault: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was to be written, why that failed, and what helps.
  let description: String

  /// The fault behind an error of a file, the ledger, a snapshot or a checkpoint; nil if it is none of the disk.
  init?(_ error: any Error) {
    let isFault =
      switch error {
      case let error as FileError: error.isDiskFault
      case let error as LedgerError: error.isDiskFault
      case let error as SnapshotError: error.isDiskFault
      case let error as CheckpointError: error.isDiskFault
      default: false
      }
    guard isFault else { return nil }
    description = "\(error)"
  }
}
