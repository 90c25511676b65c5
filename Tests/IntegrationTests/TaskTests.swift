import Foundation
import Harness
import JSON
import LanguageModel
import Testing

/// Runs with heads of tasks over the transformer. What their steps come to, GoldenTrainingTests hold to PyTorch.
@Suite(.serialized) struct TaskTests {
  static let topic: JSONValue = [
    "name": "topic", "type": "classification", "labels": ["sea", "mill", "town"], "hidden_size": 24,
    "dropout": 0.1,
  ]
  static let tag: JSONValue = [
    "name": "tag", "type": "token_classification", "labels": ["word", "name", "number"],
  ]
  static let text: JSONValue = ["name": "text", "type": "language_modeling"]

  static let one: [String: JSONValue] = [
    "tasks": [topic], "max_seq_length": 64, "train_data_path": .string(Fixtures.path("data/topics.jsonl")),
    "val_data_path": .string(Fixtures.path("data/topics_valid.jsonl")),
  ]
  static let several: [String: JSONValue] = [
    "tasks": [topic, tag, text], "max_seq_length": 64,
    "train_data_path": .string(Fixtures.path("data/tasks.jsonl")),
    "val_data_path": .string(Fixtures.path("data/tasks_valid.jsonl")), "inactive_gradients": "mean",
  ]

  private func heads(_ run: TrainingRun, _ checkpoint: String = "final") throws -> String {
    try sha256(run.file("checkpoints/\(checkpoint)/task_heads.safetensors"))
  }

  /// One answer: however many workers, killed and resumed, and in one process.
  @Test(arguments: [
    one, several,
    several.merging(["tasks_weighting": "uncertainty", "tasks_schedule": "round_robin"]) { $1 },
    several.merging(["tier_mode": "consolidate", "inactive_gradients": "discard"]) { $1 },
    several.merging(["tasks_schedule": "worst_first", "eval_every": 3]) { $1 },
    several.merging(["tasks_weighting": "gradnorm", "tasks_schedule": "round_robin"]) { $1 },
  ])
  func oneAnswer(changes: [String: JSONValue]) throws {
    let reference = try TrainingRun(changes)
    try reference.train(["--local-workers", "1", "--threads-per-worker", "1"])
    let proof = try Program.tool.run(["verify", reference.folder, "--all"])
    #expect(proof.status == 0 && proof.output.contains("proved"), "\(proof.everything)")
    for flags in [["--local-workers", "3", "--threads-per-worker", "1"], ["--threads-per-worker", "2"]] {
      let run = try TrainingRun(changes)
      try run.train(flags + ["--verify-fraction", "0.5"])
      #expect(try run.adapterHash() == reference.adapterHash(), "\(flags)")
      #expect(try heads(run) == heads(reference), "\(flags)")
      #expect(try run.stateDigest() == reference.stateDigest(), "\(flags)")
    }
  }

  @Test(arguments: ["proportional", "worst_first"]) func killedAndResumed(schedule: String) throws {
    let changes = Self.several.merging([
      "num_steps": 150, "eval_every": 10, "checkpoint_every": 20, "tasks_schedule": .string(schedule),
    ]) { $1 }
    let reference = try TrainingRun(changes)
    try reference.train(["--local-workers", "2", "--threads-per-worker", "1"])
    let run = try TrainingRun(changes)
    let coordinator = try run.start(["--local-workers", "3", "--threads-per-worker", "1"])
    #expect(waitUntil(seconds: 60) { run.step >= 30 })
    kill(coordinator.process.processIdentifier, SIGKILL)
    _ = try? coordinator.wait()
    #expect(run.step < 150)
    try run.resume(["--local-workers", "1", "--threads-per-worker", "1"])
    #expect(try heads(run) == heads(reference))
    #expect(try run.stateDigest() == reference.stateDigest())
    #expect(
      try rows(run.file("metrics/eval_metrics.jsonl")) == rows(reference.file("metrics/eval_metrics.jsonl")))
  }

  /// After an evaluation the steps are of the task that was the least accurate in it; before the first, tasks take turns.
  @Test func stepsAreOfTheWorstTask() throws {
    let run = try TrainingRun(
      Self.several.merging(["tasks_schedule": "worst_first", "eval_every": 4, "num_steps": 14]) { $1 })
    try run.train()
    let names = ["topic", "tag", "text"]
    let evaluations = try rows(run.file("metrics/eval_metrics.jsonl"))
    var worst: [Int: String] = [:]
    for row in evaluations {
      let accuracies = try names.map { try #require(row["tasks"]?[$0]?["accuracy"]?.double) }
      let name = try #require(row["worst_task"]?.string)
      #expect(accuracies[names.firstIndex(of: name) ?? 0] == accuracies.min())
      worst[try #require(row["step"]?.int)] = name
    }
    for row in try run.metrics() {
      let step = try #require(row["step"]?.int)
      let trained = names.filter { (row["tasks"]?[$0]?["labels"]?.int ?? 0) > 0 }
      if step <= 4 { #expect(trained == names) } else { #expect(trained == [worst[(step - 1) / 4 * 4]]) }
    }
  }

  /// Where nothing but ln σ² learns, each comes to the logarithm of its task's loss: the minimum of ½e^(−s)·L + ½s.
  @Test func logVariancesComeToTheLogarithmOfTheLoss() throws {
    // One step takes every row once, and the transformer and its heads stay as they are.
    let count = try rows(Fixtures.path("data/tasks.jsonl")).count
    let tasks: JSONValue = [
      ["name": "topic", "type": "classification", "labels": ["sea", "mill", "town"]], Self.tag, Self.text,
    ]
    let run = try TrainingRun(
      Self.several.merging([
        "tasks": tasks, "tasks_weighting": "uncertainty", "tasks_weighting_rate": 0.05, "learning_rate": 0,
        "num_steps": 500, "warmup_steps": 0, "lr_schedule": "constant", "max_grad_norm": 0,
        "batch_size": .number(count), "gradient_accumulation_steps": 1, "eval_every": 500,
        "inactive_gradients": "discard", "shuffle": false, "num_tiers": 1, "tier_update_frequencies": [1],
      ]) { $1 })
    try run.train(["--local-workers", "1"])
    let last = try #require(try run.metrics().last)
    let values = try SafetensorsFile(path: run.file("checkpoints/final/task_heads.safetensors"))
      .tensor("heads.log_variances").hostTensor().values
    for (name, value) in zip(["topic", "tag", "text"], values) {
      let loss = try #require(last["tasks"]?[name]?["loss"]?.double)
      #expect(abs(Double(value) - log(loss)) < 2e-3, "\(name): \(value), ln L = \(log(loss))")
      let weight = try #require(last["tasks"]?[name]?["weight"]?.double)
      #expect(abs(weight - 0.5 * exp(-Double(value))) < 1e-9, "\(name): \(weight)")
    }
    // The weights of tasks are none of what a tier has come to.
    #expect(last["tier_drift"]?.array?.compactMap(\.double) == [0])
    #expect(Set(values.map { $0.bitPattern }).count == 3)
  }

  /// What an evaluation in training says of each task, `nl-tool evaluate` does as well, of the checkpoint that has its heads
  /// beside it; and F1 and accuracy are those of what `nl-tool predict` says of each row.
  @Test func evaluationAndPredictionAgree() throws {
    let run = try TrainingRun(Self.several.merging(["num_steps": 6, "eval_every": 6]) { $1 })
    try run.train()
    let row = try #require(try rows(run.file("metrics/eval_metrics.jsonl")).last)
    let model = ["--model", Fixtures.path("models/qwen2_f32"), "--adapter", run.file("checkpoints/final")]
    let data = ["--data", Fixtures.path("data/tasks_valid.jsonl")]
    let evaluation = try JSONValue(
      parsing: Program.tool.run(
        ["evaluate"] + model + data + ["--batch-size", "2", "--max-seq-length", "64", "--json"]
      ).expectSuccess().output)
    #expect(evaluation["tasks"] == row["tasks"] && evaluation["loss"] == row["loss"])
    #expect(evaluation["perplexity"] == nil)

    let predictions = try Program.tool.run(["predict"] + model + data + ["--json"]).expectSuccess().output
      .split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    let given = try rows(Fixtures.path("data/tasks_valid.jsonl"))
    try #require(predictions.count == given.count)
    var pairs: [(String, String)] = []
    for (prediction, row) in zip(predictions, given) where row["task"] == "topic" {
      #expect(prediction["task"] == "topic")
      pairs.append((try #require(prediction["label"]?.string), try #require(row["label"]?.string)))
      let sum = prediction["probabilities"]?.object?.members.reduce(0) { $0 + ($1.value.double ?? 0) } ?? 0
      #expect(abs(sum - 1) < 1e-5)
    }
    let topic = try #require(evaluation["tasks"]?["topic"])
    #expect(topic["labels"]?.int == pairs.count)
    let right = pairs.count { $0 == $1 }
    #expect(topic["accuracy"]?.double == Double(right) / Double(pairs.count))
    let labels = Set(pairs.map(\.0)).union(pairs.map(\.1))
    let f1: [Double] = labels.map { label in
      let both = pairs.count { $0.0 == label && $0.1 == label }
      let either = pairs.count { $0.0 == label } + pairs.count { $0.1 == label }
      return Double(2 * both) / Double(either)
    }
    let mean = f1.reduce(0, +) / Double(f1.count)
    #expect(abs((topic["f1"]?.double ?? -1) - mean) < 1e-12)
  }

  /// All heads over one pass, and one of them by its name.
  @Test func aTextIsPredicted() throws {
    let run = try TrainingRun(Self.several.merging(["num_steps": 1]) { $1 })
    try run.train()
    let arguments = [
      "predict", "--model", Fixtures.path("models/qwen2_f32"), "--adapter", run.file("checkpoints/final"),
      "--text", "Anna counted 3 boats",
    ]
    let lines = try Program.tool.run(arguments).expectSuccess().output.split(separator: "\n")
    #expect(lines.count == 3 && lines[0].hasPrefix("topic: ") && lines[1].hasPrefix("tag: Anna/"))
    let one = try Program.tool.run(arguments + ["--task", "tag"]).expectSuccess().output
    #expect(one.split(separator: "\n") == [lines[1]])
    let other = try Program.tool.run(arguments + ["--task", "mood"])
    #expect(other.status != 0 && other.errors.contains("its tasks are topic, tag, text"))
  }

  /// A checkpoint of an only task is an adapter of PEFT's for its kind, and training goes on from it.
  @Test func onlyTasksAreWrittenAsPEFTHasThem() throws {
    for (task, type, shapes) in [
      (["name": "topic", "type": "classification", "labels": ["sea", "mill", "town"]], "SEQ_CLS", 1),
      (Self.tag, "TOKEN_CLS", 2),
    ] as [(JSONValue, String, Int)] {
      let data = type == "SEQ_CLS" ? "topics" : "tags"
      let changes: [String: JSONValue] = [
        "tasks": [task], "num_steps": 2, "train_data_path": .string(Fixtures.path("data/\(data).jsonl")),
        "val_data_path": .string(Fixtures.path("data/\(data)_valid.jsonl")),
      ]
      let run = try TrainingRun(changes)
      try run.train()
      let peft = run.file("checkpoints/final/peft")
      let config = try JSONValue(
        parsing: Data(contentsOf: URL(fileURLWithPath: peft + "/adapter_config.json")))
      #expect(config["task_type"]?.string == type && config["modules_to_save"] == ["score"])
      let file = try SafetensorsFile(path: peft + "/adapter_model.safetensors")
      #expect(file.names.count { $0.hasPrefix("base_model.model.score.") } == shapes)
      #expect(try file.tensor("base_model.model.score.weight").shape == [3, 32])
      for start in [peft, run.file("checkpoints/final")] {
        let next = try TrainingRun(changes.merging(["adapter_path": .string(start)]) { $1 })
        try next.train()
        #expect(try heads(next) != heads(run))
      }
    }
  }

  /// A head that does not fit the task of its name is refused by what differs; what heads cannot be in is, too.
  @Test func whatDoesNotFitIsNamed() throws {
    let run = try TrainingRun(Self.one.merging(["num_steps": 1]) { $1 })
    try run.train()
    let final = run.file("checkpoints/final")
    let other: JSONValue = ["name": "topic", "type": "classification", "labels": ["sea", "mill"]]
    let next = try TrainingRun(Self.one.merging(["tasks": [other], "adapter_path": .string(final)]) { $1 })
    let refused = try next.start().wait()
    #expect(refused.status != 0 && refused.errors.contains("task topic is not what its head in"))
    let model = Fixtures.path("models/qwen2_f32")
    let merged = try Program.tool.run([
      "merge", "--model", model, "--adapter", final, "--output", run.scratch.path("merged"),
    ])
    #expect(merged.status != 0 && merged.errors.contains("has a head for topic"))
    let predicted = try Program.tool.run([
      "predict", "--model", model, "--adapter", Fixtures.path("adapters/qwen2_f32"), "--text", "a",
    ])
    #expect(predicted.status != 0 && predicted.errors.contains("no heads of tasks"))
  }
}
