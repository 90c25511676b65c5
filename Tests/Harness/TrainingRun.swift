import Foundation
import JSON

/// One training of a tiny model by the real programs, in a folder of its own.
package struct TrainingRun {
  package let scratch: Scratch
  package let config: JSONObject

  package var folder: String { scratch.path("runs/test") }
  package func file(_ name: String) -> String { folder + "/" + name }

  /// - Parameter changes: config keys beyond the ones set here.
  package init(_ changes: [String: JSONValue] = [:], model: String = "qwen2_f32") throws {
    scratch = try Scratch()
    var config: JSONObject = [
      "base_model_path": .string(Fixtures.path("models/\(model)")),
      "train_data_path": .string(Fixtures.path("data/train.jsonl")),
      "val_data_path": .string(Fixtures.path("data/valid.jsonl")), "output_path": "runs",
      "experiment_name": "test",
      "num_steps": 10, "batch_size": 2, "gradient_accumulation_steps": 3, "max_seq_length": 32,
      "warmup_steps": 2,
      "learning_rate": 0.01, "lora_rank": 4, "eval_every": 5, "checkpoint_every": 100, "early_stop": false,
    ]
    for (key, value) in changes { config[key] = value }
    self.config = config
    try scratch.write("config.json", JSONValue.object(config).text)
  }

  package var configPath: String { scratch.path("config.json") }

  package func start(
    _ flags: [String] = [], environment: [String: String] = [:], prefix: [String] = []
  ) throws -> Running {
    try Program.coord.start(
      ["train", "--config", configPath] + flags, environment: environment, prefix: prefix)
  }

  /// Trains to the end.
  ///
  /// - Throws: `HarnessError` unless the exit code is 0.
  @discardableResult package func train(_ flags: [String] = [], environment: [String: String] = [:]) throws
    -> Program.Result
  {
    try start(flags, environment: environment).wait().expectSuccess()
  }

  /// - Throws: `HarnessError` unless the exit code is 0.
  @discardableResult package func resume(_ flags: [String] = []) throws -> Program.Result {
    try Program.coord.run(["resume", folder] + flags).expectSuccess()
  }

  /// The SHA-256 of the final adapter, in the form of mlx-lm.
  package func adapterHash() throws -> String { try sha256(file("checkpoints/final/adapters.safetensors")) }

  /// The SHA-256 of the whole state: parameters, moments, counts and windows.
  package func stateDigest() throws -> String {
    try Program.coord.run(["status", folder, "--digest"]).expectSuccess().output.trimmingCharacters(
      in: .whitespacesAndNewlines)
  }

  package func metrics() throws -> [JSONValue] { try rows(file("metrics/train_metrics.jsonl")) }

  /// The last committed step, as far as the metrics tell; 0 before the first.
  package var step: Int { (try? metrics().last?["step"]?.int) ?? 0 }
}

extension Program.Result {
  /// - Throws: `HarnessError` with everything that the program said, unless its exit code is 0.
  @discardableResult package func expectSuccess() throws -> Program.Result {
    guard status == 0 else { throw HarnessError("exit code \(status): \(everything)") }
    return self
  }
}

/// By coreutils, so that the test does not lean on the code that it tests.
package func sha256(_ path: String) throws -> String {
  String(try answer("/usr/bin/sha256sum", [path]).prefix(64))
}

/// What the `sqlite3` program answers.
package func sqlite(_ database: String, _ query: String) throws -> String {
  try answer("/usr/bin/sqlite3", ["-readonly", database, query])
}

/// What a program prints.
///
/// - Throws: `HarnessError` unless its exit code is 0.
private func answer(_ program: String, _ arguments: [String]) throws -> String {
  let process = Process()
  let pipe = Pipe()
  process.executableURL = URL(fileURLWithPath: program)
  process.arguments = arguments
  process.standardOutput = pipe
  try process.run()
  let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  guard process.terminationStatus == 0 else {
    throw HarnessError("\(program) \(arguments) ended with exit code \(process.terminationStatus)")
  }
  return text.trimmingCharacters(in: .whitespacesAndNewlines)
}
