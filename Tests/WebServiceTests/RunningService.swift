import Foundation
import Harness
import JSON

/// `nl-coord serve` at work, with a model and data in its folders.
final class RunningService {
  let scratch: Scratch
  private(set) var program: Running
  private(set) var port = 0
  private let flags: [String]
  private let environment: [String: String]

  var runs: String { scratch.path("runs") }

  /// - Parameter delay: seconds that each shard takes longer
  init(
    _ flags: [String] = [], delay: Double? = nil, models: [String] = ["qwen2_f32"],
    environment: [String: String] = [:]
  ) throws {
    scratch = try Scratch()
    for folder in ["models", "data"] {
      try FileManager.default.createDirectory(atPath: scratch.path(folder), withIntermediateDirectories: true)
    }
    for model in models {
      try FileManager.default.copyItem(
        atPath: Fixtures.path("models/\(model)"), toPath: scratch.path("models/\(model)"))
    }
    for file in ["train.jsonl", "valid.jsonl"] {
      try FileManager.default.copyItem(
        atPath: Fixtures.path("data/\(file)"), toPath: scratch.path("data/\(file)"))
    }
    self.environment = environment.merging(delay.map { ["NL_FAILPOINTS": "compute.delay=\($0)"] } ?? [:]) {
      $1
    }
    self.flags = flags
    program = try Self.start(scratch, flags, environment)
    port = try Self.port(program)
  }

  deinit { program.terminate() }

  private static func start(
    _ scratch: Scratch, _ flags: [String], _ environment: [String: String]
  ) throws -> Running {
    try Program.coord.start(
      [
        "serve", "--listen-http", "127.0.0.1:0", "--models", scratch.path("models"), "--data",
        scratch.path("data"),
        "--runs", scratch.path("runs"),
      ] + flags, environment: environment)
  }

  private static func port(_ program: Running) throws -> Int {
    var port: Int?
    let said = waitUntil(seconds: 60) {
      port = program.errors.firstMatch(of: #/the page: http://127\.0\.0\.1:(\d+)//#).flatMap { Int($0.1) }
      return port != nil || !program.process.isRunning
    }
    guard said, let port else { throw HarnessError("no port was named: \(program.errors)") }
    return port
  }

  /// Kills the service, and starts it again.
  func killAndStart() throws {
    program.terminate()
    program.process.waitUntilExit()
    try startAgain()
  }

  /// Asks the service to end as a system does, and starts it again.
  func endAndStart() throws {
    kill(program.id, SIGTERM)
    try program.wait().expectSuccess()
    try startAgain()
  }

  private func startAgain() throws {
    program = try Self.start(scratch, flags, environment)
    port = try Self.port(program)
  }

  // MARK: - Requests

  func answer(_ method: String, _ path: String, _ body: JSONValue? = nil, headers: [String] = []) throws
    -> HTTPAnswer
  {
    let type = body == nil ? [] : ["Content-Type: application/json"]
    return try ask(
      port, method, path, headers: ["Host: 127.0.0.1:\(port)"] + type + headers, body: body?.text)
  }

  /// A request below /nested-learning that is to be answered with 200, and as the OpenAPI file says.
  @discardableResult func json(_ method: String, _ path: String, _ body: JSONValue? = nil) throws -> JSONValue
  {
    let answer = try answer(method, "/nested-learning/" + path, body)
    guard answer.status == "200" else {
      throw HarnessError("\(method) \(path): \(answer.status) \(answer.body)")
    }
    return try JSONValue(parsing: answer.body)
  }

  func status(_ name: String? = nil) throws -> JSONValue {
    try json("GET", "status" + (name.map { "?experiment=\($0)" } ?? ""))
  }

  func step(_ name: String) throws -> Int { try status(name)["current_step"]?.int ?? 0 }

  /// - Parameter seconds: more than any machine needs: it tells a service that hangs from one that is slow.
  func wait(_ what: String, seconds: Double = 600, _ isSo: () throws -> Bool) throws {
    let end = Date() + seconds
    while try !isSo() {
      guard Date() < end else {
        throw HarnessError(
          "\(what) has not come about in \(seconds) s: \(program.errors)\(program.output.suffix(2000))")
      }
      usleep(50_000)
    }
  }

  func waitForEnd(of name: String, as state: String = "completed") throws {
    try wait("\(name) \(state)") { try status(name)["status"]?.string == state }
  }

  /// The config of a small run, for a request; the same as that of `TrainingRun`.
  static func config(_ name: String, _ changes: [String: JSONValue] = [:]) -> JSONValue {
    var config: JSONObject = [
      "base_model_path": "qwen2_f32", "train_data_path": "train.jsonl", "val_data_path": "valid.jsonl",
      "experiment_name": .string(name), "num_steps": 10, "batch_size": 2, "gradient_accumulation_steps": 3,
      "max_seq_length": 32, "warmup_steps": 2, "learning_rate": 0.01, "lora_rank": 4, "eval_every": 5,
      "checkpoint_every": 100, "early_stop": false,
    ]
    for (key, value) in changes { config[key] = value }
    return .object(config)
  }

  func adapterHash(_ name: String) throws -> String {
    try sha256(runs + "/\(name)/checkpoints/final/adapters.safetensors")
  }
}
