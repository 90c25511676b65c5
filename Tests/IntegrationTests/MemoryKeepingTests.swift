import Foundation
import Harness
import JSON
import Testing

/// What keeps a model's memory (slower copies, rehearsal, the base's distributions): the same bits with any number of
/// workers, through kills, stops and resumes, and other ones than without.
@Suite(.serialized) struct MemoryKeepingTests {
  private static let replay = Fixtures.path("data/replay.jsonl")

  /// By name: the keys of a config that turn something on.
  static let options: [String: [String: JSONValue]] = [
    "copies": [
      "tier_mode": "consolidate", "tier_update_frequencies": [1, 2, 4], "consolidate_moments": "interpolate",
      "anchor": 0.1,
    ],
    "replay": ["replay_data_path": .string(replay), "replay_fraction": 0.3],
    "windows": [
      "replay_data_path": .string(replay), "replay_fraction": 0.5, "replay_at": "boundaries",
      "replay_targets": "soft", "inactive_gradients": "mean", "lora_dropout": 0.1,
    ],
    "self": [
      "replay": "self", "self_replay_samples": 20, "self_replay_tokens": 12, "replay_targets": "soft",
      "kl_to_base": 0.5, "self_replay_prompts": ["The miller"], "loss": "eaft",
    ],
    "all": [
      "tier_mode": "consolidate", "tier_update_frequencies": [1, 3, 3], "replay": "self", "kl_on": "all",
      "self_replay_samples": 9, "self_replay_tokens": 8, "kl_to_base": 0.1, "loss": "eaft", "packing": true,
      "lora_dropout": 0.1,
    ],
    "importance": [
      "tier_assignment_strategy": "parameter_importance", "importance_steps": 5, "inactive_gradients": "mean",
      "select_scale": true, "lora_dropout": 0.1,
    ],
    "fisher": [
      "ewc_lambda": 10, "ewc_data_path": .string(replay), "ewc_rows": 5, "l2_sp_lambda": 0.1, "loss": "flow",
      "tier_mode": "consolidate", "tier_update_frequencies": [1, 2, 4], "replay_data_path": .string(replay),
      "replay_fraction": 0.2,
    ],
  ]

  @Test(arguments: options.keys.sorted())
  func oneAnswer(name: String) throws {
    let changes = try #require(Self.options[name]).merging(["num_steps": 8]) { $1 }
    let plain = try TrainingRun(["num_steps": 8])
    try plain.train(["--threads-per-worker", "1"])
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    #expect(!FileManager.default.fileExists(atPath: reference.folder + ".measuring"))
    let (adapter, state) = (try reference.adapterHash(), try reference.stateDigest())
    #expect(try adapter != plain.adapterHash(), "it changes nothing")
    for environment in [[:], ["NL_FAILPOINTS": "exit.upload@9"]] as [[String: String]] {
      let run = try TrainingRun(changes)
      // What the reference has measured, and its own texts, are not taken from there.
      try run.train(
        ["--local-workers", "3", "--threads-per-worker", "1"],
        environment: environment.merging(["NL_TOKEN_CACHE": "off"]) { $1 })
      #expect(try run.adapterHash() == adapter && run.stateDigest() == state, "\(environment)")
    }
  }

  /// A coordinator that is killed in the middle, and resumed.
  @Test(arguments: options.keys.sorted())
  func resumed(name: String) throws {
    let changes = try #require(Self.options[name]).merging(
      ["num_steps": 9, "eval_every": 4, "checkpoint_every": 2]) { $1 }
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(changes)
    let killed = try run.start(environment: ["NL_FAILPOINTS": "exit.persist@11"]).wait()
    #expect(killed.status != 0 && (1..<9).contains(run.step), "\(killed.everything)")
    try run.resume()
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
    let file = "metrics/eval_metrics.jsonl"
    #expect(
      try String(contentsOfFile: run.file(file), encoding: .utf8)
        == String(contentsOfFile: reference.file(file), encoding: .utf8))
  }
}
