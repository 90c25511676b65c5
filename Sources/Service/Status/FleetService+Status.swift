import Coordination
import Foundation
import JSON

/// What a coordinator says of the runs that it is at: PROTOCOL.md, STATUS_REPLY. Times are seconds.
extension FleetService {
  /// What a run's folder is called between programs, wherever each of them stands.
  static func name(of folder: String) -> String {
    URL(fileURLWithPath: folder).resolvingSymlinksInPath().path
  }

  /// - Parameter folder: the run that is asked for; nil: the only one, or the first
  func statusJSON(of folder: String?) -> JSONValue {
    let wanted = drivers.keys.sorted().compactMap { drivers[$0] }.first {
      folder == nil || $0.folderName == folder
    }
    guard let wanted, let status = fleet.status(of: wanted.number) else {
      let reason = folder.map { "this coordinator is not at a run in \($0)" } ?? "no run is at work"
      return ["state": "idle", "reason": .string(reason), "runs": runsJSON]
    }
    var members = wanted.statusJSON(status).object ?? JSONObject()
    if options.isOneOfMany { members["runs"] = runsJSON }
    return .object(members)
  }

  /// All runs: those at work, those that wait, those that are over.
  private var runsJSON: JSONValue {
    let now = MonotonicClock.now()
    let atWork = drivers.keys.sorted().compactMap { drivers[$0] }.map { driver -> JSONValue in
      let state = fleet.status(of: driver.number).map { driver.runStatus($0, now: now).state } ?? "working"
      return [
        "folder": .string(driver.store.folder.path), "state": .string(state),
        "step": .number(driver.run.progress.step), "num_steps": .number(driver.plan.config.numSteps),
      ]
    }
    let waiting = namesOfWaiting.map { name -> JSONValue in ["folder": .string(name), "state": "queued"] }
    let over = ends.map { end -> JSONValue in
      let state = if case .failure = end.result { "failed" } else { "over" }
      return ["folder": .string(end.folder), "state": .string(state)]
    }
    return .array(over + atWork + waiting)
  }
}

/// What is said of one run.
extension RunDriver {
  func statusJSON(_ status: RunStatus) -> JSONValue {
    let now = MonotonicClock.now()
    let wait = runStatus(status, now: now)
    var members: JSONObject = [
      "experiment_name": .string(plan.config.experimentName), "folder": .string(store.folder.path),
      "host": .string(ProcessInfo.processInfo.hostName), "process": .number(Int(getpid())),
      "term": .number(Int(clamping: store.term)), "state": .string(wait.state),
      "reason": .string(wait.reason),
      "age": .number(now.seconds(since: wait.since)), "ends_in": Self.seconds(until: wait.deadline, now),
      "step": .number(max(run.progress.step, run.replayedUpTo)), "num_steps": .number(plan.config.numSteps),
    ]
    if run.progress.step < run.replayedUpTo { members["replayed_step"] = .number(run.progress.step) }
    members["warnings"] = .strings(run.plan.scheduler.movementWarnings(numSteps: plan.config.numSteps))
    if run.activity?.isPaused == true { members["is_resting"] = true }
    members["unit"] = status.unit.map { .string("\($0)") } ?? nil
    members["snapshot_seconds"] = .number(run.snapshots.spent)
    members["workers"] = .array(status.workers.map { json($0, now) })
    members["shards"] = .array(status.shards.map { json($0, now) })
    members["waits"] = .array(waits(wait, status, now))
    members["ignored_results"] = .object(
      JSONObject(
        status.ignoredResults.sorted { $0.key.rawValue < $1.key.rawValue }.map {
          .init(key: $0.key.rawValue, value: .number($0.value))
        }))
    return .object(members)
  }

  typealias Wait = (state: String, reason: String, since: Instant, deadline: Instant?)

  /// The run's state with what the core does not know: the disk, and the coordinator's own work.
  func runStatus(_ status: RunStatus, now: Instant) -> Wait {
    guard let activity = run.activity else {
      return (name(of: status.run), status.reason, status.since, status.deadline)
    }
    if let wait = activity.wait {
      return ("paused", "\(wait.cause.rawValue): \(wait.reason)", wait.since, wait.deadline)
    }
    if activity.isPaused { return ("paused", "until it is resumed", activity.since, nil) }
    if status.run == .idle { return ("working", activity.doing, activity.since, nil) }
    return (name(of: status.run), status.reason, status.since, status.deadline)
  }

  private func name(of state: RunStatus.State) -> String {
    switch state {
    case .idle: "working"
    case .gathering: "gathering"
    case .stepOpen: "computing"
    case .paused: "paused"
    case .waiting: "waiting"
    case .completed: "completed"
    case .failed: "failed"
    }
  }

  private func json(_ worker: RunStatus.Worker, _ now: Instant) -> JSONValue {
    [
      "id": .number(worker.id), "host": .string(worker.host), "process": .number(worker.processID),
      "threads": .number(worker.threads), "local": .bool(worker.localIndex != nil),
      "state": .string(worker.state.rawValue), "reason": .string(worker.reason),
      "age": .number(now.seconds(since: worker.since)),
      "heard": .number(now.seconds(since: worker.lastHeard)),
      "shards_done": .number(worker.shardsDone),
      "resident_bytes": memory.bytes(of: worker.peer).map { .number($0) } ?? .null,
    ]
  }

  private func json(_ shard: RunStatus.ShardState, _ now: Instant) -> JSONValue {
    [
      "name": .string(shard.name), "state": .string(shard.state.rawValue),
      "failures": .number(shard.failures),
      "workers": .numbers(shard.workers), "reason": .string(shard.reason),
      "age": .number(now.seconds(since: shard.since)), "ends_in": Self.seconds(until: shard.deadline, now),
    ]
  }

  /// Everything that is waited for: by the run as a whole, and of each worker.
  private func waits(_ wait: Wait, _ status: RunStatus, _ now: Instant) -> [JSONValue] {
    let ofRun: JSONValue = [
      "reason": .string(wait.reason), "worker": nil, "age": .number(now.seconds(since: wait.since)),
      "ends_in": Self.seconds(until: wait.deadline, now),
    ]
    let ofWorkers: [JSONValue] = status.workers.filter { $0.state != .ready }.map { worker in
      [
        "reason": .string(worker.reason), "worker": .number(worker.id),
        "age": .number(now.seconds(since: worker.since)),
        "ends_in": Self.seconds(until: worker.deadline, now),
      ]
    }
    return [ofRun] + ofWorkers
  }

  private static func seconds(until deadline: Instant?, _ now: Instant) -> JSONValue {
    guard let deadline, deadline != .never else { return nil }
    return .number(max(0, deadline.seconds(since: now)))
  }
}
