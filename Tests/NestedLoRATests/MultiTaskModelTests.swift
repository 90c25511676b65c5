import Foundation
import Harness
import JSON
import NestedLearning
import NestedLoRA
import Testing

/// The library's way to tasks: one process trains as the cluster does, and what it has written is loaded.
@Suite(.serialized) struct MultiTaskModelTests {
  @Test func trainedLoadedAndAsked() throws {
    let scratch = try Scratch()
    let labelled = try rows(Fixtures.path("data/tasks.jsonl")).filter { $0["task"] != "text" }
    let data = try scratch.write("rows.jsonl", labelled.map { $0.text + "\n" }.joined())
    let run = try TrainingRun([
      "tasks": [
        ["name": "topic", "type": "classification", "labels": ["sea", "mill", "town"]],
        [
          "name": "tag", "type": "token_classification", "labels": ["word", "name", "number"], "dropout": 0.2,
        ],
      ],
      "tasks_weighting": "uncertainty", "tasks_schedule": "worst_first", "num_steps": 8, "max_seq_length": 64,
      "eval_every": 3, "train_data_path": .string(data),
      "val_data_path": .string(data),
    ])
    try run.train(["--local-workers", "2", "--threads-per-worker", "1"])
    var members = run.config
    members["output_path"] = .string(run.scratch.path("alone"))
    try run.scratch.write("alone.json", JSONValue.object(members).text)
    let trainer = try NestedLoRATrainer(configFile: run.scratch.path("alone.json"), threads: 1)
    let result = try trainer.train()
    #expect(try result.stateDigest == run.stateDigest())

    let model = try createMultiTaskModel(Fixtures.path("models/qwen2_f32"), adapter: result.finalCheckpoint)
    #expect(model.tasks == ["topic", "tag"])
    let both = try model.predict("Anna counted 3 boats")
    #expect(both.map(\.task) == ["topic", "tag"] && both[0].all.count == 3)
    #expect(both[1].words.map(\.word) == ["Anna", "counted", "3", "boats"])
    let one = try model.predict("Anna counted 3 boats", tasks: ["topic"])
    #expect(one.count == 1 && one[0].choice == both[0].choice)
    let metrics = try model.evaluate(data: data)
    let row = try #require(try rows(run.file("metrics/eval_metrics.jsonl")).last)
    #expect(metrics["tag"]?.accuracy == row["tasks"]?["tag"]?["accuracy"]?.double)
  }

  /// New heads over the base model depend on the seed and the task alone.
  @Test func newHeadsAreOfTheSeed() throws {
    let folder = Fixtures.path("models/qwen2_f32")
    let topic = TaskDefinition(name: "topic", kind: .classification, labels: ["a", "b"], hiddenSize: 8)
    let text = TaskDefinition(name: "text", kind: .languageModeling)
    func choice(_ tasks: [TaskDefinition], seed: UInt64) throws -> TaskPrediction.Choice? {
      let model = try createMultiTaskModel(folder, tasks: tasks, seed: seed, threads: 1)
      return try model.predict("The river", tasks: ["topic"]).first?.choice
    }
    let first = try choice([topic], seed: 1)
    #expect(try choice([text, topic], seed: 1) == first)
    #expect(try choice([topic], seed: 2)?.probability != first?.probability)
    #expect(throws: (any Error).self) { try createMultiTaskModel(folder) }
    #expect(throws: (any Error).self) {
      try createMultiTaskModel(folder, adapter: Fixtures.path("adapters/qwen2_f32"))
    }
  }
}
