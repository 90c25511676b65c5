import Files
import Foundation
import JSON
import Ledger

/// Looks for damage in everything that a run's folder holds: reads all of it, and changes nothing.
public struct RunCheck: Sendable {
  /// One thing that was looked at.
  public struct Finding: Sendable, Equatable {
    public let what: String
    /// What is wrong; nil if it is sound.
    public let damage: String?
  }

  public let findings: [Finding]
  public var isSound: Bool { findings.allSatisfy { $0.damage == nil } }

  /// - Throws: `RunFolderError` or `LedgerError` if that is not a run, or its ledger cannot be opened.
  public init(folder: String) throws {
    let path = folder + "/state.sqlite"
    guard FileSystem.kind(path) == .file else {
      throw RunFolderError.notARun(path: folder, missing: "state.sqlite")
    }
    let ledger = try Ledger.open(at: path, access: .readOnly)
    let damage = try ledger.findings()
    var findings = [Finding(what: path, damage: damage.isEmpty ? nil : damage.joined(separator: "; "))]
    // What a damaged ledger says of the others is not to be relied on.
    if damage.isEmpty {
      findings.append(Self.configuration(folder))
      let store = SnapshotStore(folder: folder + "/state")
      findings += try ledger.snapshots().map { Self.snapshot($0, store) }
      findings += try ledger.checkpoints().map { Self.checkpoint($0, folder) }
      findings.append(
        Self.metrics(folder + "/metrics/train_metrics.jsonl", lastStep: try ledger.lastStep()))
      findings.append(
        Self.metrics(folder + "/metrics/eval_metrics.jsonl", lastStep: try ledger.lastEvaluatedStep()))
    }
    self.findings = findings
  }

  private static func finding(_ what: String, _ look: () throws -> String?) -> Finding {
    do { return Finding(what: what, damage: try look()) } catch {
      return Finding(what: what, damage: "\(error)")
    }
  }

  private static func configuration(_ folder: String) -> Finding {
    let path = folder + "/config.json"
    return finding(path) {
      _ = try JSONValue(parsing: try AtomicFile.read(path))
      return nil
    }
  }

  private static func snapshot(_ record: SnapshotRecord, _ store: SnapshotStore) -> Finding {
    finding("snapshot of step \(record.step)") {
      try store.open(record.manifest).check()
      return nil
    }
  }

  private static func checkpoint(_ record: CheckpointRecord, _ folder: String) -> Finding {
    finding(record.path) {
      let path = "\(folder)/\(record.path)/metadata.json"
      let step = try JSONValue(parsing: try AtomicFile.read(path))["step"]?.int
      return step == record.step ? nil : "\(path) is of step \(step ?? 0), and the ledger says \(record.step)"
    }
  }

  /// A file that lacks rows is written anew when the run goes on; while it is at work, the last row may be under way.
  private static func metrics(_ path: String, lastStep: Int) -> Finding {
    finding(path) {
      guard FileSystem.kind(path) != nil else { return lastStep == 0 ? nil : "it is missing" }
      let lines = try AtomicFile.read(path).split(separator: 0x0A)
      var last = 0
      for (place, line) in lines.enumerated() {
        guard let step = try? JSONValue(parsing: Array(line))["step"]?.int, step > last else {
          return "line \(place + 1) cannot be read, or is out of order"
        }
        last = step
      }
      return last + 1 >= lastStep || lines.isEmpty && lastStep == 0
        ? nil : "its last row is of step \(last), and the ledger's of step \(lastStep)"
    }
  }

  /// For people, a line for each thing.
  public var text: String {
    findings.map { "\($0.what): \($0.damage ?? "sound")" }.joined(separator: "\n")
  }

  public var json: JSONValue {
    [
      "sound": .bool(isSound),
      "findings": .array(
        findings.map { ["what": .string($0.what), "damage": $0.damage.map { .string($0) } ?? nil] }),
    ]
  }
}
