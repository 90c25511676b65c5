import Coordination
import Files
import Foundation
import JSON
import Ledger
import NestedLearning
import Service
import Synchronization

/// `GET /nested-learning/status`: of the run that is at work, else of the last one. What is asked for often is made once
/// for each change.
final class RunStatus: Sendable {
  private struct Made: Sendable {
    let changes: UInt64
    let time: ContinuousClock.Instant
    let value: JSONValue
    /// What streams of events say of it: without the history, which is fetched once and then row by row.
    let news: String
  }

  private let desk: RunDesk
  private let summaries: RunSummaries
  private let rows: MetricRows
  private let made = Mutex<[String: Made]>([:])
  private static let history = 100
  private static let lines = 100
  private static let ratedSteps = 64

  init(_ desk: RunDesk, _ summaries: RunSummaries, _ rows: MetricRows) {
    self.desk = desk
    self.summaries = summaries
    self.rows = rows
  }

  /// - Parameter name: of a run; nil: the one at work, else the last one
  /// - Throws: `RunRequestError` if there is no such run.
  func status(of name: String?) throws -> JSONValue { try made(of: name).value }

  /// The same for those who are told of each change, as JSON.
  func news(of name: String?) throws -> String { try made(of: name).news }

  /// What serves those who ask again, without a look at the disk; nil if it is to be made.
  func freshNews(of name: String?) -> String? { fresh(name ?? "", desk.changes)?.news }

  private func fresh(_ key: String, _ changes: UInt64) -> Made? {
    guard let made = made.withLock({ $0[key] }), made.changes == changes, .now - made.time < AnswerCache.age
    else {
      return nil
    }
    return made
  }

  private func made(of name: String?) throws -> Made {
    let (key, changes) = (name ?? "", desk.changes)
    if let made = fresh(key, changes) { return made }
    let value = try make(name)
    var news = value.object ?? JSONObject()
    for key in ["metrics_history", "recent_logs"] { news[key] = nil }
    let new = Made(changes: changes, time: .now, value: value, news: JSONValue.object(news).text)
    made.withLock { made in
      if made.count > 100 { made = [:] }
      made[key] = new
    }
    return new
  }

  private func make(_ name: String?) throws -> JSONValue {
    guard let name = name ?? current else { return Self.idle }
    let entry = desk.entries.first(named: name)
    guard FileSystem.kind(desk.folder(of: name) + "/state.sqlite") == .file else {
      if let entry { return waiting(entry) }
      if let failure = desk.failures.last(where: { $0.name == name }) { return failed(failure) }
      throw RunRequestError(.unknown, "there is no run \(name)", field: "experiment_name")
    }
    return try recorded(name, entry)
  }

  /// The run at work, else one that rests, else one that waits, else the one that changed last.
  var current: String? {
    let entries = desk.entries
    for state in [RunDesk.Entry.State.running, .stopping, .queued, .paused] {
      if let entry = entries.first(where: { $0.state == state }) { return entry.name }
    }
    return summaries.all().first?["experiment_name"]?.string
  }

  private static let idle: JSONValue = [
    "status": "idle", "current_step": 0, "total_steps": 0, "experiment_name": nil, "tier_stats": [:],
    "message": "no run is there yet", "eta_seconds": nil, "workers": [], "metrics_history": [],
    "recent_logs": [],
  ]

  private func waiting(_ entry: RunDesk.Entry) -> JSONValue {
    [
      "status": .string(entry.state.word), "current_step": 0,
      "total_steps": entry.config["num_steps"] ?? .null,
      "experiment_name": .string(entry.name), "tier_stats": [:],
      "message": .string(Self.waitingMessage(entry)),
      "eta_seconds": nil, "workers": [], "metrics_history": [],
      "recent_logs": .array(desk.recentLines(Self.lines, of: entry.name)),
    ]
  }

  private func failed(_ failure: RunDesk.Failure) -> JSONValue {
    [
      "status": "error", "current_step": 0, "total_steps": failure.config["num_steps"] ?? .null,
      "experiment_name": .string(failure.name), "tier_stats": [:], "message": .string(failure.reason),
      "eta_seconds": nil, "workers": [], "metrics_history": [],
      "recent_logs": .array(desk.recentLines(Self.lines, of: failure.name)),
    ]
  }

  private func recorded(_ name: String, _ entry: RunDesk.Entry?) throws -> JSONValue {
    let folder = desk.folder(of: name)
    let run = try RecordedRun(folder: folder)
    let state = RunState.of(folder, recorded: run.status.state, entry: entry)
    let rows = try rows.rows(
      run.ledger, after: max(0, run.status.lastStep - Self.history), atMost: 2 * Self.history
    ).suffix(Self.history)
    // Steps may be committed meanwhile: everything is of the last one that has been read.
    let step = rows.last?.step ?? run.status.lastStep
    let stats = Self.due(
      rows.last?.row["tier_stats"]?["tier_parameters"] ?? Self.tierStats(run), run, step: step)
    let history = rows.map { RunDetails.slim($0.row, without: ["traffic", "long_rows", "tokens_cut"]) }
    var members: JSONObject = [
      "status": .string(state), "current_step": .number(step),
      "total_steps": .number(run.config.numSteps), "experiment_name": .string(name),
      "tier_stats": stats, "message": .string(Self.message(state, run, entry)),
      "eta_seconds": Self.eta(history, state: state, run: run, fleet: entry?.fleet),
      "workers": entry?.fleet?["workers"] ?? [], "metrics_history": .array(history),
      "recent_logs": .array(desk.recentLines(Self.lines, of: name)),
      "warnings": .strings(run.tiers.movementWarnings(numSteps: run.config.numSteps)),
    ]
    if let replayed = entry?.fleet?["replayed_step"] { members["replayed_step"] = replayed }
    if let waits = entry?.fleet?["waits"] { members["waits"] = waits }
    return .object(members)
  }

  /// Before the fleet has said anything of it.
  private static func waitingMessage(_ entry: RunDesk.Entry) -> String {
    entry.state == .paused ? "it rests until it is resumed" : "it waits for its turn, or is made ready"
  }

  /// With how often each tier was to be updated up to a step, by the plans that were in force.
  private static func due(_ stats: JSONValue, _ run: RecordedRun, step: Int) -> JSONValue {
    guard var members = stats.object else { return stats }
    for tier in run.tiers {
      guard var own = members["tier_\(tier.index)"]?.object else { continue }
      own["due_updates"] = .number(tier.updates(in: step))
      members["tier_\(tier.index)"] = .object(own)
    }
    return .object(members)
  }

  /// Before the first step.
  private static func tierStats(_ run: RecordedRun) -> JSONValue {
    let members = run.tiers.map { tier -> JSONObject.Member in
      var value: JSONObject = [
        "frequency": .number(tier.frequency), "phase": .number(tier.phase), "update_count": 0,
        "parameter_count": .number(tier.parameterCount),
      ]
      if run.tiers.arePartsOfOthers { value["config_tier"] = .number(tier.configTier) }
      return .init(key: "tier_\(tier.index)", value: .object(value))
    }
    return .object(JSONObject(members))
  }

  private static func message(_ state: String, _ run: RecordedRun, _ entry: RunDesk.Entry?) -> String {
    if entry?.state == .stopping { return "stops when the step in hand is done" }
    if let reason = entry?.fleet?["reason"]?.string { return reason }
    if let entry { return waitingMessage(entry) }
    if run.status.state == "running", state == "stopped" {
      return "it was broken off, as by a crash; it can be resumed from its last snapshot"
    }
    return run.status.reason ?? ""
  }

  /// By the mean of the last steps' own times, so that neither rests nor restarts count.
  private static func eta(_ rows: [JSONValue], state: String, run: RecordedRun, fleet: JSONValue?)
    -> JSONValue
  {
    guard state == "running", !rows.isEmpty else { return .null }
    let last = rows.suffix(ratedSteps)
    let seconds = last.reduce(0) { $0 + ($1["step_time"]?.double ?? 0) + ($1["snapshot_time"]?.double ?? 0) }
    let done = fleet?["replayed_step"]?.int ?? run.status.lastStep
    return .number(seconds / Double(last.count) * Double(max(0, run.config.numSteps - done)))
  }
}
