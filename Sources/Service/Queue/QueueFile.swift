import Files
import JSON

/// A run that is to be carried out: what `queue.json` has of it.
struct QueueEntry: Sendable, Equatable {
  /// The name of its folder.
  let name: String
  /// What it was begun with; null if its folder was there already, which has it.
  let config: JSONValue
  /// Whether it rests until somebody says otherwise.
  var isPaused = false
  /// Whether somebody wants it to end, so that it does not go on after a restart.
  var isStopping = false
  /// When it was put into the queue, in UTC.
  let submitted: String

  var json: JSONValue {
    [
      "name": .string(name), "config": config, "paused": .bool(isPaused),
      "stopping": .bool(isStopping), "submitted": .string(submitted),
    ]
  }

  init(name: String, config: JSONValue, submitted: String) {
    self.name = name
    self.config = config
    self.submitted = submitted
  }

  init?(json: JSONValue) {
    guard let name = json["name"]?.string, let config = json["config"],
      let submitted = json["submitted"]?.string
    else { return nil }
    self.init(name: name, config: config, submitted: submitted)
    isPaused = json["paused"]?.bool ?? false
    isStopping = json["stopping"]?.bool ?? false
  }
}

/// A run that could not begin, so that it has no folder that would say so.
struct QueueFailure: Sendable, Equatable {
  let name: String
  let config: JSONValue
  let reason: String
  let time: String

  var json: JSONValue {
    ["name": .string(name), "config": config, "reason": .string(reason), "time": .string(time)]
  }

  init(name: String, config: JSONValue, reason: String, time: String) {
    self.name = name
    self.config = config
    self.reason = reason
    self.time = time
  }

  init?(json: JSONValue) {
    guard let name = json["name"]?.string, let config = json["config"], let reason = json["reason"]?.string,
      let time = json["time"]?.string
    else { return nil }
    self.init(name: name, config: config, reason: reason, time: time)
  }
}

/// `queue.json` in the folder of runs: what is at work and what waits, in its order. What it says is done whenever a
/// service begins to look after the folder.
struct QueueFile: Sendable {
  struct Contents: Sendable, Equatable {
    var entries: [QueueEntry] = []
    /// The last ones.
    var failures: [QueueFailure] = []
  }

  let path: String

  init(folder: String) { path = folder + "/queue.json" }

  /// - Throws: `ServiceError` if the file is there and not what a service writes.
  func read() throws -> Contents {
    guard FileSystem.kind(path) != nil else { return Contents() }
    let value: JSONValue
    do { value = try JSONValue(parsing: AtomicFile.read(path)) } catch let error as JSONError {
      throw damaged("\(error)")
    }
    guard let runs = value["runs"]?.array else { throw damaged("it has no runs") }
    let entries = runs.compactMap(QueueEntry.init(json:))
    guard entries.count == runs.count else { throw damaged("an entry lacks its name or its config") }
    let failures = (value["failures"]?.array ?? []).compactMap(QueueFailure.init(json:))
    return Contents(entries: entries, failures: failures)
  }

  /// The old contents are there until the new ones are, on the disk.
  func write(_ contents: Contents) throws {
    let value: JSONValue = [
      "runs": .array(contents.entries.map(\.json)), "failures": .array(contents.failures.map(\.json)),
    ]
    try AtomicFile.write(value.bytes(indent: 2), to: path)
  }

  private func damaged(_ reason: String) -> ServiceError {
    ServiceError(
      "\(path) is not what a service writes: \(reason)",
      remedy: "move it away; runs that have a folder can then be resumed one by one")
  }
}
