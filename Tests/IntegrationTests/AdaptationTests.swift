import Foundation
import Harness
import JSON
import LanguageModel
import Testing

/// Layers that begin to learn later, rates of their own, and schedules that follow evaluations, by the real programs: the
/// same bits with any number of workers, through kills, stops and resumes, and other ones than without.
@Suite(.serialized) struct AdaptationTests {
  static let options: [String: [String: JSONValue]] = [
    "gradual": [
      "adaptation": ["unfreeze": "gradual", "layer_lr_decay": 0.5], "batch_size": 4,
      "inactive_gradients": "sum",
    ],
    "stages": [
      "unfreeze_schedule": ["step 3": 2, "step 6": 4], "inactive_gradients": "mean", "flush_every": 2,
      "lr_groups": ["*.lora_b": 4], "lora_dropout": 0.1,
    ],
    // The heads of two tasks learn alone until step 7.
    "heads": [
      "train_data_path": .string(Fixtures.path("data/tasks.jsonl")),
      "val_data_path": .string(Fixtures.path("data/tasks_valid.jsonl")),
      "tasks": [
        ["name": "topic", "type": "classification", "labels": ["sea", "mill", "town"]],
        ["name": "tag", "type": "token_classification", "labels": ["word", "name", "number"]],
        ["name": "text", "type": "language_modeling"],
      ],
      "unfreeze_schedule": ["step 1": 0, "step 7": 4], "inactive_gradients": "sum",
    ],
    "frozen": [
      "freeze": ["0-1"], "tier_order": "deep_fast", "schedule": ["lr_schedule": "slanted_triangular"],
    ],
    "plateau": [
      "schedule": ["lr_schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.1], "eval_every": 1,
      "learning_rate": 0.2,
    ],
  ]

  @Test(arguments: options.keys.sorted()) func oneAnswer(name: String) throws {
    let changes = try #require(Self.options[name]).merging(["num_steps": 12]) { $1 }
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let plain = try TrainingRun(["num_steps": 12, "batch_size": changes["batch_size"] ?? 2])
    try plain.train(["--threads-per-worker", "1"])
    let (adapter, state) = (try reference.adapterHash(), try reference.stateDigest())
    #expect(try adapter != plain.adapterHash(), "it changes nothing")
    let killed = try TrainingRun(changes)
    try killed.train(
      ["--local-workers", "3", "--threads-per-worker", "1"],
      environment: ["NL_FAILPOINTS": "exit.upload@9", "NL_TOKEN_CACHE": "off"])
    #expect(try killed.adapterHash() == adapter && killed.stateDigest() == state)
    let resumed = try TrainingRun(changes)
    let first = try resumed.start(environment: ["NL_FAILPOINTS": "exit.persist@8"])
    _ = try first.wait()
    try resumed.resume(["--local-workers", "2"])
    #expect(try resumed.adapterHash() == adapter && resumed.stateDigest() == state)
    try Program.tool.run(["verify", reference.folder, "--all"]).expectSuccess()
  }

  /// What each step changes, by the checkpoints of all: the layers that have begun to learn and whose tier is due.
  @Test func unfreezingChangesTheLayersThatItSays() throws {
    let run = try TrainingRun([
      "num_steps": 12, "unfreeze_schedule": ["step 4": 3, "step 9": 4], "checkpoint_every": 1,
      "keep_last_n_checkpoints": 20, "warmup_steps": 0,
    ])
    try run.train()
    let values = try (1...12).map { step in
      try SafetensorsFile(
        path: run.file("checkpoints/\(String(format: "checkpoint_%07d", step))/adapters.safetensors"))
    }
    // Four layers in three tiers with the periods 1, 2, 4.
    let period = [1, 2, 4, 4]
    let first = [9, 4, 4, 1]
    for step in 2...12 {
      for layer in 0..<4 {
        let names = values[0].names.filter { $0.contains("layers.\(layer).") }
        let changed = try names.contains {
          try values[step - 1].tensor($0).hostTensor().values
            != values[step - 2].tensor($0).hostTensor().values
        }
        #expect(!names.isEmpty)
        #expect(
          changed == (step >= first[layer] && step % period[layer] == 0), "step \(step), layer \(layer)")
      }
    }
    let table = try Program.tool.run(["tiers", "--config", run.configPath]).expectSuccess().output
    #expect(table.contains("learns every step from step 9 on"), "\(table)")
  }

  @Test func aScheduleIsDrawnWithoutModelOrData() throws {
    let json = try Program.tool.run([
      "schedule", "preview", "--json", "--lr-schedule", "polynomial", "--lr-power", "2", "--num-steps", "10",
      "--warmup-steps", "4", "--learning-rate", "0.5",
    ]).expectSuccess()
    let rates = try JSONValue(parsing: json.output)["learning_rate"]?.array?.compactMap(\.double) ?? []
    // 0.5 · ((11 − t)/7)² from step 5 on.
    #expect(rates.count == 10 && Array(rates.prefix(4)) == [0.125, 0.25, 0.375, 0.5])
    for (step, rate) in zip(5...10, rates.dropFirst(4)) {
      let left = Double(11 - step) / 7
      #expect(abs(rate - 0.5 * left * left) < 1e-15)
    }
    let text = try Program.tool.run(["schedule", "preview", "--lr-schedule", "plateau"]).expectSuccess()
    #expect(text.output.contains("as if no evaluation ever lowered it"))
    let wrong = try Program.tool.run(["schedule", "preview", "--lr-end", "3"])
    #expect(wrong.status != 0 && wrong.errors.contains("--lr-end"), "\(wrong.everything)")
  }
}
