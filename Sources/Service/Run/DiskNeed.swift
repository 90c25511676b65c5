import Files
import Foundation

/// What a run writes, at the most, against what its disk has left.
struct DiskNeed {
  private let folder: String
  /// The state of training: parameters, moments, windows.
  private let snapshot: Int
  private let checkpoint: Int
  private let numberedCheckpoints: Int

  init(plan: RunPlan) {
    let config = plan.config
    folder = plan.outputFolder
    snapshot = plan.stateBytes
    checkpoint = plan.checkpointBytes
    numberedCheckpoints = min(config.keepLastNCheckpoints, config.numSteps / config.checkpointEvery)
  }

  /// A snapshot beside the one before it, and the last checkpoint: without these no run ends.
  private var least: Int { 2 * snapshot + checkpoint }

  /// Every numbered checkpoint keeps its snapshot; `best` and `final` are two more.
  private var whole: Int { least + numberedCheckpoints * (snapshot + checkpoint) + checkpoint }

  /// - Returns: a warning if the disk may become full before the run ends.
  /// - Throws: `ServiceError` if it is too small for any run.
  func check() throws(ServiceError) -> String? {
    guard let free = FileSystem.freeBytes(at: folder), free < whole else { return nil }
    let remedy =
      "give another output_path, or fewer keep_last_n_checkpoints (each keeps \(Self.text(snapshot + checkpoint)))"
    let has = "the disk of \(folder) has \(Self.text(free)) left"
    guard free >= least else {
      throw ServiceError("\(has), but this run writes at least \(Self.text(least))", remedy: remedy)
    }
    return "\(has), but this run may write up to \(Self.text(whole)) (\(remedy))"
  }

  private static func text(_ bytes: Int) -> String {
    bytes < 10_000_000
      ? "\(max(1, bytes / 1000)) kB"
      : bytes < 10_000_000_000 ? "\(bytes / 1_000_000) MB" : "\(bytes / 1_000_000_000) GB"
  }
}
