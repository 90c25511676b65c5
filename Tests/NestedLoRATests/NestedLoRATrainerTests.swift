import Foundation
import Harness
import JSON
import NestedLearning
import NestedLoRA
import Testing

/// A training in one process comes to the bits of a coordinator with two workers.
@Suite(.serialized) struct NestedLoRATrainerTests {
  @Test(
    arguments: [
      [:], ["inactive_gradients": "mean", "tier_phase": "staggered"],
      ["inactive_gradients": "sum", "tier_update_frequencies": [2, 3, 6], "lora_dropout": 0.2],
      ["tier_update_frequencies": [4, 8, 8], "loss_every": 3, "gradient_accumulation_steps": 5],
      ["trainable": "full", "optimizer": "adamw", "weight_decay": 0.1],
      ["packing": true, "arithmetic": "bf16_dot"],
      ["early_stop": true, "patience": 2, "eval_every": 1, "min_delta": 0.5, "checkpoint_every": 2],
      ["unfreeze_schedule": ["step 4": 3], "layer_lr_decay": 0.5, "lr_groups": ["*.lora_b": 4]],
      ["lr_schedule": "plateau", "plateau_patience": 0, "eval_every": 2, "learning_rate": 0.05],
      [
        "adaptation": ["domains": ["river", "market", "road"], "adversary": 1, "norms": "all"],
        "tasks": [["name": "topic", "type": "classification", "labels": ["quiet", "loud"]]],
        "train_data_path": .string(Fixtures.path("data/domains.jsonl")),
        "val_data_path": .string(Fixtures.path("data/domains_valid.jsonl")),
      ],
    ] as [[String: JSONValue]])
  func sameBitsAsTheCluster(changes: [String: JSONValue]) throws {
    let run = try TrainingRun(changes)
    try run.train(["--local-workers", "2", "--threads-per-worker", "1"])
    var members = run.config
    members["output_path"] = .string(run.scratch.path("alone"))
    try run.scratch.write("alone.json", JSONValue.object(members).text)
    let trainer = try NestedLoRATrainer(configFile: run.scratch.path("alone.json"), threads: 2)
    var losses: [JSONValue] = []
    let result = try trainer.train(
      TrainingCallbacks(onStep: { step in
        losses.append(step.loss.map { .number($0) } ?? .null)
        return .goOn
      }))
    let rows = try run.metrics()
    #expect(result.steps == rows.count && losses == rows.map { $0["loss"] ?? .null })
    #expect(try result.stateDigest == run.stateDigest())
    for kind in ["final", "best"] {
      let name = changes["trainable"] == "full" ? "model.safetensors" : "adapters.safetensors"
      let alone = run.scratch.path("alone/test/checkpoints/\(kind)/\(name)")
      #expect(try sha256(alone) == sha256(run.file("checkpoints/\(kind)/\(name)")), "\(kind)")
    }
    let names = try FileManager.default.contentsOfDirectory(
      atPath: run.scratch.path("alone/test/checkpoints"))
    #expect(
      try Set(names) == Set(FileManager.default.contentsOfDirectory(atPath: run.file("checkpoints"))))
    #expect(result.ending == (changes["early_stop"] == true ? .stoppedEarly : .completed))
  }

  /// What a run's metrics say of an objective, the callbacks do as well, to the bit.
  @Test func anObjectivesLosses() throws {
    let run = try TrainingRun([
      "replay": "self", "replay_fraction": 0.5, "kl_to_base": 0.2, "self_replay_samples": 8,
      "self_replay_tokens": 12,
    ])
    try run.train(["--local-workers", "2", "--threads-per-worker", "1"])
    var members = run.config
    members["output_path"] = .string(run.scratch.path("alone"))
    try run.scratch.write("alone.json", JSONValue.object(members).text)
    var steps: [TrainingStep] = []
    _ = try NestedLoRATrainer(configFile: run.scratch.path("alone.json"), threads: 1).train(
      TrainingCallbacks(onStep: { step in
        steps.append(step)
        return .goOn
      }))
    let rows = try run.metrics()
    #expect(steps.map(\.loss) == rows.map { $0["loss"]?.double })
    #expect(steps.map(\.replayLoss) == rows.map { $0["replay_loss"]?.double })
    #expect(steps.map(\.klToBase) == rows.map { $0["kl_to_base"]?.double })
    #expect(steps.map(\.tokens) == rows.map { $0["tokens"]?.int })
    #expect(steps.contains { ($0.replayLoss ?? 0) > 0 } && steps.contains { ($0.klToBase ?? 0) > 0 })
  }

  @Test func aCallbackEndsTheTraining() throws {
    let run = try TrainingRun()
    let trainer = try NestedLoRATrainer(configFile: run.configPath)
    var (evaluations, checkpoints): ([Int], [String]) = ([], [])
    let result = try trainer.train(
      TrainingCallbacks(
        onStep: { $0.step == 7 ? .stop : .goOn },
        onEvaluation: {
          evaluations.append($0.step)
          return .goOn
        }, onCheckpoint: { checkpoints.append($0) }))
    #expect(result.ending == .stopped && result.steps == 7 && trainer.state?.step == 7)
    #expect(
      evaluations == [5] && checkpoints == [run.file("checkpoints/best"), run.file("checkpoints/final")])
    // What was trained is not written over, and a trainer trains once.
    #expect(throws: (any Error).self) { try trainer.train() }
    let again = try NestedLoRATrainer(configFile: run.configPath)
    let error = #expect(throws: (any Error).self) { try again.train() }
    #expect(error.map { "\($0)" }?.contains(run.folder) == true)
  }

  struct Enough: Error {}

  @Test func anErrorOfACallbackIsThrown() throws {
    let run = try TrainingRun()
    let trainer = try NestedLoRATrainer(configFile: run.configPath)
    #expect(throws: (any Error).self) {
      try trainer.train(TrainingCallbacks(onStep: { _ in throw Enough() }))
    }
  }

  @Test func aWrongConfigIsNamedBeforeAnythingIsWritten() throws {
    var config = NestedLearningConfig(
      baseModelPath: Fixtures.path("models/qwen2_f32"), trainDataPath: "/nonexistent.jsonl",
      experimentName: "x")
    let scratch = try Scratch()
    config.outputPath = scratch.path("runs")
    #expect(throws: (any Error).self) { try NestedLoRATrainer(config).setup() }
    config.numTiers = 2
    #expect(throws: ConfigError.self) { try NestedLoRATrainer(config).setup() }
    #expect(!FileManager.default.fileExists(atPath: config.outputPath))
  }
}
