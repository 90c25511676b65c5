import Foundation
import Harness
import JSON
import NestedLearning
import Testing

/// The command lines, as a user meets them.
@Suite struct CommandLineTests {
  @Test func everyConfigKeyIsAFlag() throws {
    let help = try Program.coord.run(["train", "--help"]).output
    for key in NestedLearningConfig.keys {
      #expect(help.contains(key.flag + " ") || help.contains(key.flag + "\n"), "\(key.flag) is not in --help")
    }
  }

  @Test(arguments: [
    (Program.coord, ["--help"]), (.coord, ["train", "--help"]), (.coord, ["resume", "--help"]),
    (.coord, ["status", "--help"]), (.worker, ["--help"]), (.tool, ["--help"]),
    (.tool, ["tokenize", "--help"]),
    (.tool, ["logits", "--help"]), (.tool, ["generate", "--help"]), (.tool, ["evaluate", "--help"]),
    (.tool, ["model", "init", "--help"]), (.tool, ["model", "inspect", "--help"]),
    (.tool, ["bench", "step", "--help"]), (.tool, ["bench", "coordinator", "--help"]),
    (.tool, ["bench", "wire", "--help"]), (.tool, ["bench", "ledger", "--help"]),
    (.tool, ["keygen", "--help"]),
  ]) func helpExplainsItself(program: Program, arguments: [String]) throws {
    let result = try program.run(arguments)
    #expect(result.status == 0)
    #expect(result.output.contains("OVERVIEW"))
    if arguments.count > 1 {
      #expect(result.output.contains("Example"), "no example in \(program.name) \(arguments)")
    }
  }

  @Test func validateOnlySaysWhatWouldBeTrainedAndWritesNothing() throws {
    let run = try TrainingRun()
    let result = try run.train(["--validate-only"])
    #expect(result.output.contains("Tier 2"))
    #expect(!FileManager.default.fileExists(atPath: run.scratch.path("runs")))
  }

  @Test func flagsWinOverTheFileAndYAMLIsReadAlike() throws {
    let run = try TrainingRun(["num_steps": 3])
    let yaml = """
      base_model_path: \(Fixtures.path("models/qwen2_f32"))
      train_data_path: \(Fixtures.path("data/train.jsonl"))
      tier_update_frequencies: [1, 2, 4]
      num_steps: 99
      """
    let config = try run.scratch.write("other.yaml", yaml)
    let result = try Program.coord.run([
      "train", "--config", config, "--num-steps", "2", "--tier-update-frequencies", "1", "1", "2",
      "--output-path",
      run.scratch.path("runs"), "--max-seq-length", "32",
    ])
    #expect(result.status == 0, "\(result.everything)")
    let recorded = try JSONValue(
      parsing: Data(contentsOf: URL(fileURLWithPath: run.scratch.path("runs/other/config.json"))))
    #expect(recorded["num_steps"]?.int == 2)
    #expect(recorded["tier_update_frequencies"] == [1, 1, 2])
    #expect(recorded["beta2"]?.double == 0.999)
  }

  /// The log line of the specification, and the keys of every file that a run writes.
  @Test func writesWhatItPromises() throws {
    let run = try TrainingRun(["num_steps": 4, "checkpoint_every": 2])
    let result = try run.train()
    let line = /Step 4\/4 \| Loss: \d+\.\d{3} \| Active tiers: \[0, 1, 2\] \| ETA: \d+\.\ds/
    #expect(result.output.contains(line), "\(result.output)")
    let row = try #require(try run.metrics().last)
    for key in [
      "step", "loss", "learning_rate", "tier_learning_rates", "grad_norm", "tier_grad_norms", "active_tiers",
      "tokens",
      "tokens_per_second", "step_time", "snapshot_time", "epoch", "tier_stats",
    ] { #expect(row[key] != nil, "train_metrics.jsonl lacks \(key)") }
    for key in ["global_step", "tier_update_counts", "tier_update_frequencies", "tier_parameters"] {
      #expect(row["tier_stats"]?[key] != nil, "tier_stats lacks \(key)")
    }
    #expect(row["tier_stats"]?["tier_parameters"]?["tier_2"]?["update_count"]?.int == 1)
    for folder in ["best", "final", "checkpoint_0000002", "checkpoint_0000004"] {
      let metadata = try JSONValue(
        parsing: Data(contentsOf: URL(fileURLWithPath: run.file("checkpoints/\(folder)/metadata.json"))))
      for key in [
        "step", "experiment_name", "is_best", "is_final", "best_val_loss", "config", "tier_stats",
        "timestamp",
      ] { #expect(metadata[key] != nil, "metadata.json of \(folder) lacks \(key)") }
      for file in [
        "adapter_config.json", "adapters.safetensors", "peft/adapter_model.safetensors", "tokenizer.json",
      ] {
        #expect(FileManager.default.fileExists(atPath: run.file("checkpoints/\(folder)/\(file)")))
      }
    }
  }

  /// "Who computed what, when, how long": by the `sqlite3` program.
  @Test func theLedgerAnswersWhoComputedWhat() throws {
    let run = try TrainingRun(["num_steps": 3])
    try run.train(["--local-workers", "2", "--threads-per-worker", "1"])
    let answer = try sqlite(
      run.file("state.sqlite"),
      """
      SELECT step, first_micro_batch, last_micro_batch, host IS NOT NULL, seconds > 0, handed_out_at < finished_at
      FROM assignments JOIN workers USING (term, worker)
      WHERE purpose = 'train' AND outcome = 'committed' ORDER BY step, first_micro_batch
      """)
    let lines = answer.split(separator: "\n")
    for step in 1...3 {
      #expect(
        lines.contains { $0.hasPrefix("\(step)|0|") }
          && lines.contains { $0.hasPrefix("\(step)|") && $0.contains("|2|") })
    }
    let open = try sqlite(
      run.file("state.sqlite"), "SELECT count(*) FROM assignments WHERE finished_at IS NULL")
    #expect(open == "0")
  }
}

extension Program: CustomTestStringConvertible {
  package var testDescription: String { name }
}
