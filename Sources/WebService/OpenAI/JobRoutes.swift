import Files
import HTTPTypes
import JSON
import Service
import Synchronization

/// `/v1/fine_tuning/jobs`.
final class JobRoutes: Sendable {
  private let view: JobView
  private let start: RunStart
  private let catalog: ModelCatalog
  private let shelf: FileShelf
  private let isReading = Mutex(false)
  private static let prefix = "/v1/fine_tuning/jobs"
  private static let most = 100

  init(view: JobView, start: RunStart, catalog: ModelCatalog, shelf: FileShelf) {
    (self.view, self.start, self.catalog, self.shelf) = (view, start, catalog, shelf)
  }

  var routes: [Route] {
    let one = Self.prefix + "/{fine_tuning_job_id}"
    return [
      .post(Self.prefix) { [self] _, body in try create(body) },
      .json(.get, Self.prefix) { [self] asked in
        let page = try OpenAIPage(asked, limit: 20, most: Self.most)
        return try page.list(view.all.map { item in (item.job.id, { try self.view.json(item.job) }) })
      },
      .json(.get, one) { [self] asked in try view.json(job(asked)) },
      .post(one + "/cancel") { [self] asked, _ in try cancel(job(asked)) },
      .post(one + "/pause") { [self] asked, _ in try carryOut(view.desk.pause, job(asked)) },
      .post(one + "/resume") { [self] asked, _ in
        let job = try job(asked)
        let changed = try carryOut(view.desk.resume, job)
        if let run = job.run { try view.store.change(run: run) { $0.isCancelled = false } }
        return changed
      },
      .json(.get, one + "/events") { [self] asked in
        let job = try job(asked)
        return try JobEvents(job: job, state: view.state(job), view: view).page(
          OpenAIPage(asked, limit: 20, most: Self.most))
      },
      .json(.get, one + "/checkpoints") { [self] asked in try checkpoints(job(asked), asked) },
    ]
  }

  private func job(_ asked: Asked) throws -> JobView.Job {
    try view.job(asked.parameter("fine_tuning_job_id") ?? "")
  }

  // MARK: - Changes

  private func create(_ body: JSONObject) throws -> JSONValue {
    let request = try JobRequest(body, catalog: catalog, shelf: shelf, policy: start.policy)
    var config = request.config
    if config["experiment_name"] == nil {
      config["experiment_name"] = .string(request.suffix.map(start.freeName(like:)) ?? start.freeName())
    }
    config = try completed(request, start.policy.resolved(config))
    let name = try start.start(config)
    let stored = JobStore.Job(run: name, request: request.shown)
    do { try view.store.put(stored) } catch {
      // A job that nobody could ask for by its id is none.
      try? view.desk.stop(name)
      throw RunRequestError(
        .unavailable, "the job could not be written: \(error)", hint: "make room on the disk")
    }
    return try view.json(JobView.Job(id: stored.id, run: name, stored: stored))
  }

  /// Counting rows reads a file, so that one request at a time does it.
  private func completed(_ request: JobRequest, _ config: JSONObject) throws -> JSONObject {
    let isFree = isReading.withLock { isReading in
      defer { isReading = true }
      return !isReading
    }
    guard isFree else {
      throw RunRequestError(.tooMany, "the data of another job is being read", hint: "ask again in a second")
    }
    defer { isReading.withLock { $0 = false } }
    return try request.completed(config)
  }

  private func cancel(_ job: JobView.Job) throws -> JSONValue {
    guard let run = job.run else { throw Self.isOver(job, "cancelled") }
    // Before the run goes from the queue, where nothing else would say why it is not there.
    let isThere = view.desk.entries.first(named: run) != nil
    if isThere { try view.store.change(run: run) { $0.isCancelled = true } }
    return try carryOut(view.desk.stop, job)
  }

  private func carryOut(_ command: (String) throws -> Void, _ job: JobView.Job) throws -> JSONValue {
    guard let run = job.run else { throw Self.isOver(job, "changed") }
    let before = try view.json(job)
    do { try command(run) } catch let error as RunRequestError
      where [.conflict, .unknown].contains(error.kind)
    {
      throw OpenAIError(.badRequest, error.description, param: "fine_tuning_job_id")
    }
    guard let after = try? view.json(view.job(job.id)) else {
      // A run that nobody asked for here, and that has left the queue without a folder, is nowhere else.
      guard var members = before.object else { return before }
      members["status"] = "cancelled"
      return .object(members)
    }
    return after
  }

  private static func isOver(_ job: JobView.Job, _ what: String) -> OpenAIError {
    OpenAIError(
      .badRequest, "the run of \(job.id) is gone, so that it cannot be \(what)", param: "fine_tuning_job_id")
  }

  // MARK: - Checkpoints

  private func checkpoints(_ job: JobView.Job, _ asked: Asked) throws -> JSONValue {
    let page = try OpenAIPage(asked, limit: 10, most: Self.most)
    guard let name = job.run, RecordedRun.isOne(view.desk.folder(of: name)) else { return try page.list([]) }
    let run = try RecordedRun(folder: view.desk.folder(of: name))
    let there = try run.ledger.checkpoints().filter { FileSystem.kind(run.folder + "/" + $0.path) == .folder }
    return try page.list(
      there.reversed().map { checkpoint in
        let id = "ftckpt-\(job.id.dropFirst(JobStore.prefix.count))-\(FileSystem.name(of: checkpoint.path))"
        return (
          id,
          {
            let loss = try run.ledger.step(checkpoint.step)?.loss
            let evaluation = try run.ledger.evaluation(after: checkpoint.step)?.loss
            return [
              "object": "fine_tuning.job.checkpoint", "id": .string(id),
              "created_at": .number(Int(checkpoint.writtenAt.milliseconds / 1000)),
              "fine_tuned_model_checkpoint": .string("\(name)/\(checkpoint.path)"),
              "fine_tuning_job_id": .string(job.id), "step_number": .number(checkpoint.step),
              "metrics": [
                "step": .number(checkpoint.step), "train_loss": loss.map { .number($0) } ?? nil,
                "full_valid_loss": evaluation.map { .number($0) } ?? nil,
              ],
            ]
          }
        )
      })
  }
}
