import Files
import JSON
import Ledger
import Logging
import Synchronization

/// What was asked for with a fine-tuning job, where a run does not have it: a file of each job in `.jobs` in the folder of
/// runs. How a job stands is not here: its run says that.
final class JobStore: Sendable {
  struct Job: Sendable {
    let id: String
    /// Seconds since 1970.
    let created: Int
    /// The name of its run; nil once that is gone.
    var run: String?
    /// Whether somebody has cancelled it.
    var isCancelled = false
    /// How it stood when its run went.
    var last: String?
    /// What was asked for: `model`, `training_file`, `validation_file`, `hyperparameters`, `seed`, `suffix`, `metadata`.
    let request: JSONObject

    init(run: String, request: JSONObject) {
      id = OpenAIID.make(JobStore.prefix)
      created = Int(Timestamp.now().milliseconds / 1000)
      (self.run, self.request) = (run, request)
    }

    var json: JSONValue {
      [
        "id": .string(id), "created_at": .number(created), "run": run.map { .string($0) } ?? nil,
        "cancelled": .bool(isCancelled), "last": last.map { .string($0) } ?? nil, "request": .object(request),
      ]
    }

    init?(json: JSONValue) {
      guard let id = json["id"]?.string, let created = json["created_at"]?.int,
        let request = json["request"]?.object
      else { return nil }
      (self.id, self.created, self.request) = (id, created, request)
      (run, last) = (json["run"]?.string, json["last"]?.string)
      isCancelled = json["cancelled"]?.bool ?? false
    }
  }

  static let prefix = "ftjob-"
  private let folder: String
  private let jobs: Mutex<[String: Job]>
  /// The oldest whose runs are gone make room for more.
  private static let most = 10_000

  init(runs: String, logger: Logger) {
    folder = runs + "/.jobs"
    var jobs: [String: Job] = [:]
    for name in (try? FileSystem.names(in: folder)) ?? [] where name.hasSuffix(".json") {
      guard let bytes = try? AtomicFile.read(folder + "/" + name), let json = try? JSONValue(parsing: bytes),
        let job = Job(json: json)
      else {
        logger.warning(
          "\(folder)/\(name) is not what a service writes: a fine-tuning job is known by its run alone")
        continue
      }
      jobs[job.id] = job
    }
    self.jobs = Mutex(jobs)
  }

  var all: [Job] { Array(jobs.withLock { $0 }.values) }

  func job(_ id: String) -> Job? { jobs.withLock { $0[id] } }

  func job(ofRun name: String) -> Job? { jobs.withLock { $0.values.first { $0.run == name } } }

  /// - Throws: `FileError` if it cannot be written; then it is not there.
  func put(_ job: Job) throws {
    try jobs.withLock { jobs in
      try FileSystem.makeFolders(folder)
      try AtomicFile.write(job.json.bytes(), to: folder + "/\(job.id).json")
      jobs[job.id] = job
      guard jobs.count > Self.most,
        let oldest = jobs.values.filter({ $0.run == nil }).min(by: { $0.created < $1.created })
      else { return }
      jobs[oldest.id] = nil
      try? FileSystem.remove(folder + "/\(oldest.id).json")
    }
  }

  /// Changes the job of a run, if that has one.
  func change(run name: String, _ body: (inout Job) -> Void) throws {
    guard var job = job(ofRun: name) else { return }
    body(&job)
    try put(job)
  }
}
