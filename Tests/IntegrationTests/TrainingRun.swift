import Foundation
import JSON
import Testing

/// One training of a tiny model by the real programs, in a folder of its own.
struct TrainingRun {
  let scratch: Scratch
  let config: JSONObject

  var folder: String { scratch.path("runs/test") }
  func file(_ name: String) -> String { folder + "/" + name }

  /// - Parameter changes: config keys beyond the ones set here.
  init(_ changes: [String: JSONValue] = [:], model: String = "qwen2_f32") throws {
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

  var configPath: String { scratch.path("config.json") }

  func start(_ flags: [String] = [], environment: [String: String] = [:]) throws -> Running {
    try Program.coord.start(["train", "--config", configPath] + flags, environment: environment)
  }

  /// Trains to the end, and records a failure unless the exit code is 0.
  @discardableResult func train(_ flags: [String] = [], environment: [String: String] = [:]) throws
    -> Program.Result
  {
    let result = try start(flags, environment: environment).wait()
    #expect(result.status == 0, "\(result.everything)")
    return result
  }

  @discardableResult func resume(_ flags: [String] = []) throws -> Program.Result {
    let result = try Program.coord.run(["resume", folder] + flags)
    #expect(result.status == 0, "\(result.everything)")
    return result
  }

  /// The SHA-256 of the final adapter, in the form of mlx-lm.
  func adapterHash() throws -> String { try sha256(file("checkpoints/final/adapters.safetensors")) }

  /// The SHA-256 of the whole state: parameters, moments, counts and windows.
  func stateDigest() throws -> String {
    try Program.coord.run(["status", folder, "--digest"]).output.trimmingCharacters(
      in: .whitespacesAndNewlines)
  }

  func metrics() throws -> [JSONValue] { try rows(file("metrics/train_metrics.jsonl")) }
}

/// By coreutils, so that the test does not lean on the code that it tests.
func sha256(_ path: String) throws -> String {
  let process = Process()
  let pipe = Pipe()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/sha256sum")
  process.arguments = [path]
  process.standardOutput = pipe
  try process.run()
  let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  try #require(process.terminationStatus == 0, "sha256sum \(path)")
  return String(text.prefix(64))
}
