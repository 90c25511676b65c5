import Files
import JSON
import Ledger
import NestedLearning
import Service

/// How a request becomes a run of the queue.
struct RunStart: Sendable {
  let desk: RunDesk
  let policy: PathPolicy
  let jobs: JobView

  /// - Parameter body: keys of a config
  /// - Returns: the run's name
  /// - Throws: what is wrong with the config, with its key; `RunRequestError` if there is such a run.
  func start(_ body: JSONObject) throws -> String {
    var body = body
    if body["experiment_name"] == nil || body["experiment_name"]?.isNull == true {
      body["experiment_name"] = .string(freeName())
    }
    let resolved = try policy.resolved(body)
    let config = try NestedLearningConfig(object: resolved, file: "the request")
    let name = config.experimentName
    guard PathPolicy.isName(name) else {
      throw RunRequestError(
        .invalid, "experiment_name \"\(name)\" cannot be the name of a folder", field: "experiment_name",
        hint: "choose one without / that no dot begins")
    }
    // A job whose run could not begin is not to be taken for one of this run.
    if isFree(name, Set(desk.entries.map(\.name))) { try jobs.runGoes(name) }
    try desk.start(name: name, config: .object(resolved))
    return name
  }

  /// By the clock, as nobody has given one; of several in one second each has a number.
  func freeName() -> String {
    let digits = Timestamp.now().text.prefix(19).filter(\.isNumber)
    return freeName(like: "run-\(digits.prefix(8))-\(digits.dropFirst(8))")
  }

  /// The name itself, or with a number behind it.
  func freeName(like name: String) -> String {
    let taken = Set(desk.entries.map(\.name))
    let numbered = (2...1001).lazy.map { "\(name)-\($0)" }
    return [name].first { isFree($0, taken) } ?? numbered.first { isFree($0, taken) } ?? name
  }

  private func isFree(_ name: String, _ taken: Set<String>) -> Bool {
    !taken.contains(name) && FileSystem.kind(desk.folder(of: name)) == nil
  }
}

extension RunDesk {
  /// Whether a run of the queue reads a file.
  func reads(_ path: String, _ entry: Entry) -> Bool {
    if !entry.config.isNull { return entry.config.text.contains(path) }
    let recorded = try? RecordedRun(folder: folder(of: entry.name))
    return recorded?.config.json().text.contains(path) ?? false
  }
}
