import Files
import Foundation
import JSON
import Ledger
import NestedLearning

/// A run as its ledger has it, read without taking it from a coordinator that works on it.
package struct RecordedRun {
  package let folder: String
  package let ledger: Ledger
  package let status: RunRow
  package let config: NestedLearningConfig
  /// With the periods of all tier plans so far; empty before the first coordinator has recorded one.
  package let tiers: [Tier]

  /// Those that each parameter belongs to one of; none where tiers are copies of all parameters.
  var dividedTiers: [Tier] { config.tierMode == .consolidate ? [] : tiers }

  package static func isOne(_ folder: String) -> Bool { FileSystem.kind(folder + "/state.sqlite") == .file }

  package init(folder: String) throws {
    guard Self.isOne(folder) else { throw RunFolderError.notARun(path: folder, missing: "state.sqlite") }
    self.folder = folder
    ledger = try Ledger.open(at: folder + "/state.sqlite", access: .readOnly)
    status = try ledger.status()
    config = try KnownConfigs.shared.config(status.run.configuration, file: folder + "/config.json")
    let counts = try ledger.tiers().map(\.parameterCount)
    tiers = try ledger.tierPlans().tiers(
      parameterCounts: counts.isEmpty ? Array(repeating: 0, count: config.numTiers) : counts)
  }

  /// The newest checkpoint: the final one, or that of the last step.
  ///
  /// - Throws: `ServiceError` if there is none.
  func newestCheckpoint() throws -> (path: String, step: Int) {
    let records = try ledger.checkpoints().filter { FileSystem.kind(folder + "/" + $0.path) == .folder }
    guard let newest = records.max(by: { ($0.step, $0.isFinal ? 1 : 0) < ($1.step, $1.isFinal ? 1 : 0) })
    else {
      throw ServiceError(
        "the run in \(folder) has no checkpoint yet",
        remedy: "stop it, which writes one, or wait for checkpoint_every")
    }
    return (folder + "/" + newest.path, newest.step)
  }
}
