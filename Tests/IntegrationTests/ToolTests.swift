import Foundation
import Harness
import JSON
import LanguageModel
import Testing

/// The `nl-tool` program on the golden models, whose numbers are PyTorch's.
@Suite(.serialized) struct ToolTests {
  let model = Fixtures.path("models/qwen2_f32")
  let adapter = Fixtures.path("adapters/qwen2_f32")

  @Test func logitsAreThoseOfTheLibrary() throws {
    let scratch = try Scratch()
    let text = "The river froze early that year."
    let result = try Program.tool.run([
      "logits", "--model", model, "--adapter", adapter, "--text", text, "--output",
      scratch.path("logits.safetensors"),
    ])
    #expect(result.status == 0, "\(result.everything)")
    let logits = try SafetensorsFile(path: scratch.path("logits.safetensors")).tensor("logits").hostTensor()
    let ids = try JSONValue(
      parsing: Program.tool.run(["tokenize", "--model", model], input: "\"\(text)\"\n").output)
    #expect(logits.shape == [ids.array?.count ?? 0, 300])
    #expect(logits.values.allSatisfy { $0.isFinite })
  }

  @Test func tokenizesALinePerString() throws {
    let input = "\"The river\"\n\"\"\n\n\"caf\\u00e9 \\ud83d\\ude00\"\n"
    let result = try Program.tool.run(["tokenize", "--model", model], input: input)
    #expect(result.status == 0, "\(result.everything)")
    let lines = result.output.split(separator: "\n", omittingEmptySubsequences: true)
    #expect(lines.count == 3 && lines[1] == "[]")
    let bad = try Program.tool.run(["tokenize", "--model", model], input: "\"a\"\nnot json\n")
    #expect(bad.status != 0 && bad.errors.contains("line 2"))
  }

  @Test func generatesTheSameTextForTheSameSeed() throws {
    let arguments = ["generate", "--model", model, "--prompt", "The river", "--max-tokens", "12"]
    let greedy = try Program.tool.run(arguments)
    #expect(greedy.status == 0 && greedy.output.hasPrefix("The river"), "\(greedy.everything)")
    let warm = arguments + ["--temperature", "1.5", "--seed", "7"]
    let first = try Program.tool.run(warm)
    #expect(try Program.tool.run(warm).output == first.output)
    #expect(try Program.tool.run(arguments + ["--temperature", "1.5", "--seed", "8"]).output != first.output)
  }

  @Test func evaluatesToTheLossOfTraining() throws {
    let run = try TrainingRun(["num_steps": 2, "eval_every": 2, "batch_size": 2])
    try run.train()
    let row = try #require(try rows(run.file("metrics/eval_metrics.jsonl")).last)
    let result = try Program.tool.run([
      "evaluate", "--model", model, "--adapter", run.file("checkpoints/final"), "--data",
      Fixtures.path("data/valid.jsonl"), "--batch-size", "2", "--max-seq-length", "32", "--json",
    ])
    let json = try JSONValue(parsing: result.output)
    #expect(json["loss"] == row["loss"])
    #expect(json["tokens"] == row["tokens"])
  }

  @Test func aModelIsMadeInspectedAndTrainedInFull() throws {
    let scratch = try Scratch()
    let made = scratch.path("made")
    let result = try Program.tool.run([
      "model", "init", "--config", model + "/config.json", "--tokenizer", model, "--output", made,
    ])
    #expect(result.status == 0, "\(result.everything)")
    let report = try JSONValue(parsing: Program.tool.run(["model", "inspect", made, "--json"]).output)
    #expect(report["model_type"]?.string == "qwen2")
    let run = try TrainingRun([
      "base_model_path": .string(made), "trainable": "full", "num_steps": 60, "eval_every": 60,
      "learning_rate": 0.01,
    ])
    try run.train()
    let losses = try run.metrics().compactMap { $0["loss"]?.double }
    #expect(try #require(losses.last) < #require(losses.first) * 0.8)
    let logits = try Program.tool.run([
      "logits", "--model", run.file("checkpoints/final"), "--text", "The river", "--output",
      scratch.path("l.safetensors"),
    ])
    #expect(logits.status == 0, "\(logits.everything)")
  }
}
