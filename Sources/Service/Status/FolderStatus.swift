import Files
import Foundation
import JSON
import Ledger
import Training

/// How far a run is, read from its folder without taking it from a coordinator that works on it.
public struct FolderStatus: Sendable {
  let folder: String
  let status: RunRow
  let snapshot: SnapshotRecord?
  let totalSteps: Int?
  let last: StepRecord?
  /// Spent on steps, and on snapshots between them.
  let stepSeconds: Double
  let snapshotSeconds: Double
  /// The ledger says that it runs, and no coordinator holds it: it was killed, or its machine went down.
  let isInterrupted: Bool
  /// A line for each tier that hardly moves.
  let warnings: [String]
  /// SHA-256 of the whole state (parameters, moments and windows) at the last snapshot, if that has it.
  let recordedDigest: String?

  public init(folder: String) throws {
    self.folder = folder
    let path = folder + "/state.sqlite"
    guard access(path, R_OK) == 0 else {
      guard errno == EACCES else { throw RunFolderError.notARun(path: folder, missing: "state.sqlite") }
      throw FileError(path: path, doing: "reading the ledger", code: EACCES)
    }
    let ledger = try Ledger.open(at: path, access: .readOnly)
    status = try ledger.status()
    isInterrupted = status.state == "running" && RunFolder.isHeld(folder) == false
    snapshot = try ledger.latestSnapshot()
    last = try ledger.step(status.lastStep)
    stepSeconds = try ledger.total(ofMetric: "step_time")
    snapshotSeconds = try ledger.total(ofMetric: "snapshot_time")
    totalSteps = status.run.configuration["num_steps"]?.int
    warnings =
      try ledger.tierPlans().tiers(parameterCounts: ledger.tiers().map(\.parameterCount))
      .movementWarnings(numSteps: totalSteps ?? status.lastStep)
    // A damaged snapshot is no reason to say nothing of the run; `digest` and RunCheck name it.
    recordedDigest = snapshot.flatMap { try? Self.open($0, in: folder).state["digest"]?.string }
  }

  /// SHA-256 of the whole state (parameters, moments and windows) at the last snapshot, read for it if need be; empty
  /// before the first.
  public func digest() throws -> String {
    if let recordedDigest { return recordedDigest }
    guard let snapshot else { return "" }
    let tensors = try SnapshotTensors.read(Self.open(snapshot, in: folder))
    return StateDigest.of(tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
  }

  private static func open(_ record: SnapshotRecord, in folder: String) throws -> Snapshot {
    try SnapshotStore(folder: folder + "/state").open(record.manifest)
  }

  /// Why the run is over; nil if it is not, or was stopped to go on later.
  var completion: String? {
    status.state == RunOutcome.completed(reason: "").state ? status.reason ?? "all steps are done" : nil
  }

  private var state: String { isInterrupted ? "interrupted" : status.state }

  public var json: JSONValue {
    [
      "experiment_name": .string(status.run.experimentName), "state": .string(state),
      "reason": status.reason.map { .string($0) } ?? nil, "step": .number(status.lastStep),
      "num_steps": totalSteps.map { .number($0) } ?? nil, "loss": last?.loss.map { .number($0) } ?? nil,
      "step_seconds": .number(stepSeconds), "snapshot_seconds": .number(snapshotSeconds),
      "snapshot_step": snapshot.map { .number($0.step) } ?? nil,
      "state_digest": recordedDigest.map { .string($0) } ?? nil, "warnings": .strings(warnings),
    ]
  }

  public var text: String {
    let reason =
      isInterrupted ? "no coordinator holds it; nl-coord resume \(folder) goes on" : status.reason
    var lines = ["\(status.run.experimentName): \(state)" + (reason.map { " (\($0))" } ?? "")]
    var progress = "Step \(status.lastStep)" + (totalSteps.map { "/\($0)" } ?? "")
    if let loss = last?.loss { progress += " | Loss: \(ProgressLine.decimal(loss, places: 3))" }
    lines.append(progress)
    if let snapshot {
      lines.append(
        "Last snapshot after step \(snapshot.step)" + (recordedDigest.map { ", state \($0)" } ?? ""))
    }
    lines += warnings.map { "Warning: \($0)" }
    return lines.joined(separator: "\n")
  }
}
