import Files
import JSON
import Ledger
import Service
import Synchronization

/// Fine-tuning jobs as they stand. Every run of the folder is one, whoever began it; how it stands is what queue and
/// ledger say.
final class JobView: Sendable {
  /// A job: what was asked for with it, or a run that was begun by other means.
  struct Job: Sendable {
    let id: String
    /// Nil once its run is gone.
    let run: String?
    let stored: JobStore.Job?
  }

  let desk: RunDesk
  let store: JobStore
  private let summaries: RunSummaries
  private let status: RunStatus
  private let catalog: ModelCatalog
  private let shelf: FileShelf
  /// Trained tokens of runs that are over, with the mark of the ledger that they were added up from.
  private let tokens = Mutex<[String: (mark: String, count: Int)]>([:])

  init(
    desk: RunDesk, store: JobStore, summaries: RunSummaries, status: RunStatus, catalog: ModelCatalog,
    shelf: FileShelf
  ) {
    (self.desk, self.store, self.summaries, self.status) = (desk, store, summaries, status)
    (self.catalog, self.shelf) = (catalog, shelf)
  }

  // MARK: - Which there are

  /// The newest first.
  var all: [(job: Job, created: Int)] {
    let stored = store.all
    let known = Set(stored.compactMap(\.run))
    let others = summaries.all().compactMap { summary -> (Job, Int)? in
      guard let name = summary["experiment_name"]?.string, !known.contains(name) else { return nil }
      return (Job(id: Self.id(ofRun: name), run: name, stored: nil), Self.seconds(summary["created_at"]) ?? 0)
    }
    let asked = stored.map { (Job(id: $0.id, run: $0.run, stored: $0), $0.created) }
    return (asked + others).sorted { ($0.1, $0.0.id) > ($1.1, $1.0.id) }.map { (job: $0.0, created: $0.1) }
  }

  /// - Throws: `OpenAIError` (404) if there is none.
  func job(_ id: String) throws -> Job {
    if let stored = store.job(id) { return Job(id: id, run: stored.run, stored: stored) }
    if let run = Self.run(ofID: id), PathPolicy.isName(run), store.job(ofRun: run) == nil,
      desk.entries.first(named: run) != nil || RecordedRun.isOne(desk.folder(of: run))
    {
      return Job(id: id, run: run, stored: nil)
    }
    throw OpenAIError(.notFound, "there is no job \(id.prefix(80))", param: "fine_tuning_job_id")
  }

  private static let runPrefix = JobStore.prefix + "run-"

  /// Of a run that was begun by other means: its name, with what an address does not have as it is in two hexadecimal
  /// digits behind a `~`.
  static func id(ofRun name: String) -> String {
    runPrefix
      + name.utf8.map { byte in
        let character = Character(Unicode.Scalar(byte))
        if byte < 0x80, character.isLetter || character.isNumber || "-_.".contains(character) {
          return String(character)
        }
        return "~" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
      }.joined()
  }

  static func run(ofID id: String) -> String? {
    guard id.hasPrefix(runPrefix) else { return nil }
    var rest = Array(id.utf8.dropFirst(runPrefix.utf8.count))[...]
    var name: [UInt8] = []
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "~") else {
        name.append(byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
      name.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: name, as: UTF8.self)
  }

  // MARK: - How they stand

  /// In OpenAI's words: queued, running, paused, succeeded, failed or cancelled.
  func state(_ job: Job) -> String {
    guard let run = job.run else { return job.stored?.last ?? "failed" }
    if let entry = desk.entries.first(named: run) {
      return entry.state == .stopping ? "cancelled" : entry.state.word
    }
    guard RecordedRun.isOne(desk.folder(of: run)) else {
      return job.stored?.isCancelled == true ? "cancelled" : "failed"
    }
    switch summaries.summary(of: run, entry: nil)["status"]?.string {
    case "completed": return "succeeded"
    case "stopped": return "cancelled"
    case "running": return "running"
    default: return "failed"
    }
  }

  /// A run's folder goes, or another run gets its name: the job stays as it stands.
  ///
  /// - Parameter go: has the folder go
  func runGoes(_ name: String, _ go: () throws -> Void = {}) throws {
    let last = store.job(ofRun: name).map { state(Job(id: $0.id, run: name, stored: $0)) }
    try go()
    try store.change(run: name) { job in (job.run, job.last) = (nil, last) }
  }

  func json(_ job: Job) throws -> JSONValue {
    let state = state(job)
    let summary =
      job.run.map { run in
        RecordedRun.isOne(desk.folder(of: run))
          ? summaries.summary(of: run, entry: desk.entries.first(named: run)) : [:]
      } ?? [:]
    let request = try job.stored?.request ?? described(job)
    let isOver = ["succeeded", "failed", "cancelled"].contains(state)
    let method: JSONValue = [
      "type": "supervised", "supervised": ["hyperparameters": request["hyperparameters"] ?? [:]],
    ]
    let created =
      job.stored?.created ?? Self.seconds(summary["created_at"]) ?? Self.seconds(submitted(job)) ?? 0
    var members: JSONObject = [
      "object": "fine_tuning.job", "id": .string(job.id), "created_at": .number(created),
    ]
    for member in request.members where member.key != "suffix" { members[member.key] = member.value }
    let more: JSONObject = [
      "status": .string(state), "error": error(job, state, summary), "method": method,
      "fine_tuned_model": result(job, state),
      "finished_at": isOver ? Self.seconds(summary["changed_at"]).map { .number($0) } ?? nil : nil,
      "estimated_finish": try estimatedFinish(job, state),
      "trained_tokens": state == "succeeded" ? try trainedTokens(job) : nil, "organization_id": "",
      "result_files": [], "integrations": [], "user_provided_suffix": request["suffix"] ?? .null,
      "nested_learning": [
        "experiment_name": job.run.map { .string($0) } ?? nil, "current_step": summary["current_step"] ?? 0,
        "total_steps": summary["total_steps"] ?? .null, "loss": summary["loss"] ?? .null,
        "best_loss": summary["best_loss"] ?? .null,
      ],
    ]
    for member in more.members { members[member.key] = member.value }
    return .object(members)
  }

  /// What a run that was begun by other means would have been asked for with.
  private func described(_ job: Job) throws -> JSONObject {
    let entry = job.run.flatMap { desk.entries.first(named: $0) }
    var config = entry?.config ?? .null
    if let run = job.run, RecordedRun.isOne(desk.folder(of: run)) {
      config = try RecordedRun(folder: desk.folder(of: run)).config.json()
    }
    let validation = config["val_data_path"]?.string
    return [
      "model": .string(catalog.id(ofBase: config["base_model_path"]?.string ?? "")),
      "training_file": .string(shelf.id(of: config["train_data_path"]?.string ?? "")),
      "validation_file": validation.map { .string(shelf.id(of: $0)) } ?? nil,
      "hyperparameters": .object(JobRequest.Hyperparameters().json), "seed": config["seed"] ?? .null,
      "metadata": nil,
    ]
  }

  private func submitted(_ job: Job) -> JSONValue? {
    job.run.flatMap { desk.entries.first(named: $0) }.map { .string($0.submitted) }
  }

  private func error(_ job: Job, _ state: String, _ summary: JSONObject) -> JSONValue {
    guard state == "failed" else { return nil }
    let failure = desk.failures.last { $0.name == job.run }
    let reason = failure?.reason ?? summary["message"]?.string ?? "its run is not there any more"
    return ["code": "run_failed", "message": .string(reason), "param": nil]
  }

  /// The adapter of the last step.
  private func result(_ job: Job, _ state: String) -> JSONValue {
    guard state == "succeeded", let run = job.run else { return nil }
    let id = "\(run)/checkpoints/final"
    return FileSystem.kind(desk.folder + "/" + id) == .folder ? .string(id) : nil
  }

  private func estimatedFinish(_ job: Job, _ state: String) throws -> JSONValue {
    guard state == "running", let run = job.run,
      let seconds = try status.status(of: run)["eta_seconds"]?.double
    else { return nil }
    return .number(Int(Timestamp.now().advanced(bySeconds: seconds).milliseconds / 1000))
  }

  private func trainedTokens(_ job: Job) throws -> JSONValue {
    guard let run = job.run else { return nil }
    let mark = RunSummaries.mark(desk.folder(of: run))
    if let known = tokens.withLock({ $0[run] }), known.mark == mark { return .number(known.count) }
    let count = try RecordedRun(folder: desk.folder(of: run)).ledger.trainedTokens()
    tokens.withLock { $0[run] = (mark, count) }
    return .number(count)
  }

  static func seconds(_ text: JSONValue?) -> Int? {
    text?.string.flatMap(Timestamp.init(text:)).map { Int($0.milliseconds / 1000) }
  }
}
