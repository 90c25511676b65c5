import JSON

/// A coordinator's answer, for people. It takes whatever members there are: another release may have others.
public struct ShownStatus: Sendable {
  public let json: JSONValue

  public init(json: JSONValue) { self.json = json }

  /// Whether the run rests until it is told to go on.
  public var isResting: Bool { json["is_resting"]?.bool == true }

  public var text: String {
    guard json["experiment_name"] != nil else {
      return (["No run at work: \(word(json, "reason"))"] + runs).joined(separator: "\n")
    }
    return (head + warnings + workers + shards + waits + ignored + runs).joined(separator: "\n")
  }

  /// All runs of a coordinator that has several.
  private var runs: [String] {
    let list = json["runs"]?.array ?? []
    guard !list.isEmpty else { return [] }
    return ["Runs of this coordinator"]
      + list.map { run in
        let step = run["step"]?.int.map { ", step \($0)/\(number(run, "num_steps"))" } ?? ""
        return "  \(word(run, "folder")): \(word(run, "state"))\(step)"
      }
  }

  private var head: [String] {
    let state = word(json, "state")
    var lines = ["\(word(json, "experiment_name")): \(state): \(word(json, "reason")), \(times(json))"]
    var progress = "Step \(number(json, "step"))/\(number(json, "num_steps"))"
    if json["replayed_step"]?.int != nil {
      progress += ", replayed up to step \(number(json, "replayed_step"))"
    }
    lines.append(progress)
    lines.append(
      "Coordinator: process \(number(json, "process")) on \(word(json, "host")), term \(number(json, "term"))"
    )
    return lines
  }

  private var warnings: [String] {
    (json["warnings"]?.array ?? []).compactMap(\.string).map { "Warning: \($0)" }
  }

  private var workers: [String] {
    let list = json["workers"]?.array ?? []
    return (list.isEmpty ? ["No worker"] : ["Workers"])
      + list.map { worker in
        "  \(number(worker, "id")): \(word(worker, "host")), process \(number(worker, "process")), "
          + "\(count(worker, "threads", of: "thread")) | \(word(worker, "state")): \(word(worker, "reason")), "
          + "\(times(worker)) | heard of \(duration(worker, "heard")) ago | \(count(worker, "shards_done", of: "shard")) done"
      }
  }

  private var shards: [String] {
    let list = json["shards"]?.array ?? []
    guard !list.isEmpty else { return [] }
    return ["Shards of \(word(json, "unit"))"]
      + list.map { shard in
        let workers = (shard["workers"]?.array ?? []).compactMap(\.int).map(String.init).joined(
          separator: ", ")
        let failures = shard["failures"]?.int ?? 0
        return "  \(word(shard, "name")): \(word(shard, "state"))"
          + (workers.isEmpty ? "" : ", worker \(workers)")
          + (shard["ends_in"]?.double == nil ? "" : ", for \(duration(shard, "ends_in")) more at most")
          + (failures == 0 ? "" : ", failed \(failures) times")
      }
  }

  private var waits: [String] {
    let list = json["waits"]?.array ?? []
    return ["Waits"]
      + list.map { wait in
        let who = wait["worker"]?.int.map { "worker \($0)" } ?? "the run"
        return "  \(who): \(word(wait, "reason")), \(times(wait))"
      }
  }

  private var ignored: [String] {
    let counts = json["ignored_results"]?.object?.members ?? []
    guard !counts.isEmpty else { return [] }
    let texts = counts.map { "\($0.key) \($0.value.int ?? 0)" }
    return ["Results that did not count: " + texts.joined(separator: ", ")]
  }

  private func word(_ json: JSONValue, _ key: String) -> String { json[key]?.string ?? "?" }
  private func number(_ json: JSONValue, _ key: String) -> String { json[key]?.int.map(String.init) ?? "?" }

  /// As in "1 thread", "2 threads".
  private func count(_ json: JSONValue, _ key: String, of noun: String) -> String {
    number(json, key) + " " + noun + (json[key]?.int == 1 ? "" : "s")
  }

  private func duration(_ json: JSONValue, _ key: String) -> String {
    ProgressLine.duration(json[key]?.double ?? .nan)
  }

  /// Since when, and until when at most.
  private func times(_ json: JSONValue) -> String {
    "for \(duration(json, "age"))"
      + (json["ends_in"]?.double == nil ? "" : ", for \(duration(json, "ends_in")) more at most")
  }
}
