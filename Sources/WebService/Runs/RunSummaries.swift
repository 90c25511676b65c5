import Files
import Foundation
import JSON
import Ledger
import NestedLearning
import Service
import Synchronization

/// One line of each run in the folder, from its ledger; read again only where that has changed.
final class RunSummaries: Sendable {
  private struct Known: Sendable {
    let mark: String
    let summary: JSONObject
  }

  private let desk: RunDesk
  private let known = Mutex<[String: Known]>([:])
  /// Points of the little curve.
  private static let points = 40

  init(_ desk: RunDesk) { self.desk = desk }

  /// All runs, those first that changed last: those of the queue, those with a folder, those that could not begin.
  func all() -> [JSONObject] {
    let entries = desk.entries
    let names = ((try? FileSystem.names(in: desk.folder)) ?? []).filter {
      PathPolicy.isName($0) && FileSystem.kind(desk.folder(of: $0) + "/state.sqlite") == .file
        && !Self.isMeasurement($0, entries)
    }
    var summaries = names.map { summary(of: $0, entry: entries.first(named: $0)) }
    known.withLock { known in known = known.filter { names.contains($0.key) } }
    for (place, entry) in entries.enumerated() where !names.contains(entry.name) {
      summaries.append(Self.waiting(entry, place))
    }
    for failure in desk.failures where !names.contains(failure.name) {
      summaries.append(Self.failed(failure))
    }
    return summaries.sorted { ($0["changed_at"]?.string ?? "~") > ($1["changed_at"]?.string ?? "~") }
  }

  /// What is measured before a run of the queue begins is part of that run.
  private static func isMeasurement(_ name: String, _ entries: [RunDesk.Entry]) -> Bool {
    let ending = ".measuring"
    return name.hasSuffix(ending) && entries.first(named: String(name.dropLast(ending.count))) != nil
  }

  private static func waiting(_ entry: RunDesk.Entry, _ place: Int) -> JSONObject {
    [
      "experiment_name": .string(entry.name), "status": .string(entry.state.word),
      "queue_place": .number(place + 1),
      "current_step": 0, "total_steps": entry.config["num_steps"] ?? .null,
      "changed_at": .string(entry.submitted),
      "created_at": .string(entry.submitted), "base_model_path": entry.config["base_model_path"] ?? .null,
    ]
  }

  private static func failed(_ failure: RunDesk.Failure) -> JSONObject {
    [
      "experiment_name": .string(failure.name), "status": "error", "message": .string(failure.reason),
      "current_step": 0, "total_steps": failure.config["num_steps"] ?? .null,
      "changed_at": .string(failure.time),
      "created_at": .string(failure.time), "base_model_path": failure.config["base_model_path"] ?? .null,
    ]
  }

  /// Of a run with a folder.
  func summary(of name: String, entry: RunDesk.Entry?) -> JSONObject {
    let folder = desk.folder(of: name)
    let mark = Self.mark(folder) + ";" + RunTags.mark(folder)
    var summary: JSONObject
    if let known = known.withLock({ $0[name] }), known.mark == mark {
      summary = known.summary
    } else {
      summary = Self.read(folder, name)
      known.withLock { $0[name] = Known(mark: mark, summary: summary) }
    }
    // Who is at it can change while the ledger does not.
    let state = RunState.of(folder, recorded: summary["status"]?.string ?? "", entry: entry)
    summary["status"] = .string(state)
    if let place = desk.entries.firstIndex(where: { $0.name == name }) {
      summary["queue_place"] = .number(place + 1)
    }
    return summary
  }

  /// What changes with every commit.
  static func mark(_ folder: String) -> String {
    ["", "-wal"].map { ending in
      let path = folder + "/state.sqlite" + ending
      return "\(FileSystem.modificationTime(path) ?? 0),\(FileSystem.size(path) ?? 0)"
    }.joined(separator: ";")
  }

  private static func read(_ folder: String, _ name: String) -> JSONObject {
    do {
      let run = try RecordedRun(folder: folder)
      let evaluations = try run.ledger.evaluations()
      let best = evaluations.min { $0.loss < $1.loss }
      let losses = try run.ledger.losses(atMost: points)
      let changed = try run.ledger.step(run.status.lastStep)?.committedAt ?? run.status.run.createdAt
      return [
        "experiment_name": .string(name), "status": .string(run.status.state),
        "message": run.status.reason.map { .string($0) } ?? nil, "current_step": .number(run.status.lastStep),
        "total_steps": .number(run.config.numSteps), "created_at": .string(run.status.run.createdAt.text),
        "changed_at": .string(changed.text), "base_model_path": .string(run.config.baseModelPath),
        "loss": losses.last.map { .number($0.loss) } ?? nil,
        "best_loss": best.map { .number($0.loss) } ?? nil, "best_step": best.map { .number($0.step) } ?? nil,
        "tier_update_frequencies": .numbers(run.config.tierUpdateFrequencies),
        "learning_rate": .number(run.config.learningRate),
        "preset": run.config.preset.map { .string($0) } ?? nil,
        "seconds": .number(try run.ledger.total(ofMetric: "step_time")),
        "sparkline": .numbers(losses.map(\.loss)), "tags": .strings(RunTags.of(folder)),
      ]
    } catch {
      return [
        "experiment_name": .string(name), "status": "failed",
        "message": .string("it cannot be read: \(error)"),
        "current_step": 0, "total_steps": nil, "created_at": nil, "changed_at": nil, "base_model_path": nil,
      ]
    }
  }
}

/// How a run stands, in the words of the API: idle, queued, running, paused, completed, stopped or error.
enum RunState {
  /// - Parameter recorded: what its ledger says
  static func of(_ folder: String, recorded: String, entry: RunDesk.Entry?) -> String {
    if let entry { return entry.state.word }
    switch recorded {
    case "completed", "stopped": return recorded
    case "running":
      // Another coordinator is at it, or the one that was has been killed.
      return RunFolder.isHeld(folder) == true ? "running" : "stopped"
    default: return "error"
    }
  }
}

extension RunDesk.Entry.State {
  var word: String {
    switch self {
    case .queued: "queued"
    case .running, .stopping: "running"
    case .paused: "paused"
    }
  }
}

extension [RunDesk.Entry] {
  func first(named name: String) -> RunDesk.Entry? { first { $0.name == name } }
}
