import Foundation
import Harness
import JSON
import LanguageModel
import Testing

/// Runs with rows of several domains: a discriminator and gradient reversal, norms with a scale and a shift for each. What
/// their steps come to, GoldenTrainingTests hold to PyTorch.
@Suite(.serialized) struct DomainTests {
  private static let topic: JSONValue = [
    "name": "topic", "type": "classification", "labels": ["quiet", "loud"],
  ]
  private static let data: [String: JSONValue] = [
    "adaptation_domains": ["river", "market", "road"], "max_seq_length": 32,
    "train_data_path": .string(Fixtures.path("data/domains.jsonl")),
    "val_data_path": .string(Fixtures.path("data/domains_valid.jsonl")),
  ]
  private static let adversary = data.merging(["adaptation_adversary": 1]) { $1 }
  private static let norms = data.merging(["adaptation_norms": "all", "inactive_gradients": "sum"]) { $1 }
  /// A third of the rows has no label.
  private static let both = adversary.merging([
    "tasks": [topic], "adaptation_norms": "final", "inactive_gradients": "mean", "batch_size": 1,
  ]) { $1 }

  private func domains(_ run: TrainingRun) throws -> String {
    try sha256(run.file("checkpoints/final/domains.safetensors"))
  }

  /// One answer: however many workers, killed and resumed, with packs, and proved by computing it again.
  @Test(arguments: [
    adversary, norms, both, adversary.merging(["packing": true, "lora_dropout": 0.1]) { $1 },
    adversary.merging(["unfreeze_schedule": ["step 3": 3], "curriculum_strategy": "competence_sqrt"]) { $1 },
  ])
  func oneAnswer(changes: [String: JSONValue]) throws {
    let changes = changes.merging(["num_steps": 9, "eval_every": 3, "checkpoint_every": 3]) { $1 }
    let reference = try TrainingRun(changes)
    try reference.train(["--local-workers", "1", "--threads-per-worker", "1"])
    let proof = try Program.tool.run(["verify", reference.folder, "--all"])
    #expect(proof.status == 0 && proof.output.contains("proved"), "\(proof.everything)")
    let killed = try TrainingRun(changes)
    try killed.train(
      ["--local-workers", "3", "--threads-per-worker", "1", "--verify-fraction", "0.5"],
      environment: ["NL_FAILPOINTS": "exit.upload@13"])
    let resumed = try TrainingRun(changes)
    _ = try resumed.start(environment: ["NL_FAILPOINTS": "exit.persist@9"]).wait()
    try resumed.resume(["--local-workers", "2"])
    for run in [killed, resumed] {
      #expect(try run.adapterHash() == reference.adapterHash())
      #expect(try domains(run) == domains(reference))
      #expect(try run.stateDigest() == reference.stateDigest())
    }
  }

  /// What an evaluation in training says, `nl-tool evaluate` does as well: each row with the norms of its domain. With those of
  /// one domain for all rows it says something else, and so does a generated text.
  @Test func normsOfTheDomain() throws {
    let run = try TrainingRun(
      Self.norms.merging(["num_steps": 12, "eval_every": 12, "learning_rate": 0.02]) { $1 })
    try run.train()
    let row = try #require(try rows(run.file("metrics/eval_metrics.jsonl")).last)
    let model = ["--model", Fixtures.path("models/qwen2_f32"), "--adapter", run.file("checkpoints/final")]
    func loss(_ flags: [String]) throws -> JSONValue? {
      try JSONValue(
        parsing: Program.tool.run(
          ["evaluate", "--data", Fixtures.path("data/domains_valid.jsonl"), "--batch-size", "2"] + model
            + ["--max-seq-length", "32", "--json"] + flags
        ).expectSuccess().output)["loss"]
    }
    #expect(try loss([]) == row["loss"])
    var losses = Set([row["loss"]?.text ?? ""])
    for domain in ["river", "market", "road"] { losses.insert(try loss(["--domain", domain])?.text ?? "") }
    #expect(losses.count == 4)
    let unknown = try Program.tool.run(["generate", "--prompt", "a", "--domain", "sea"] + model)
    #expect(unknown.status != 0 && unknown.errors.contains("its domains are river, market, road"))
    // A discriminator alone changes nothing of what a model says.
    let told = try TrainingRun(Self.adversary.merging(["num_steps": 1]) { $1 })
    try told.train()
    let idle = try Program.tool.run([
      "generate", "--prompt", "a", "--domain", "road", "--model", Fixtures.path("models/qwen2_f32"),
      "--adapter", told.file("checkpoints/final"),
    ])
    #expect(idle.status != 0 && idle.errors.contains("nothing of the model depends on domains"))
    let none = try Program.tool.run([
      "generate", "--prompt", "a", "--domain", "sea", "--model", Fixtures.path("models/qwen2_f32"),
    ])
    #expect(none.status != 0 && none.errors.contains("nothing of the model depends on domains"))
    let merged = try Program.tool.run(["merge"] + model + ["--output", run.file("merged")])
    #expect(merged.status != 0 && merged.errors.contains("a scale for each domain"))
  }

  /// What a checkpoint has, training goes on from: scales and shifts, and the discriminator if there is to be one again.
  @Test func goesOnFromACheckpoint() throws {
    let first = try TrainingRun(Self.both.merging(["num_steps": 3]) { $1 })
    try first.train()
    let changes: [String: JSONValue] = [
      "adapter_path": .string(first.file("checkpoints/final")), "learning_rate": 0, "num_steps": 1,
      "train_data_path": .string(Fixtures.path("data/domains.jsonl")),
      "val_data_path": .string(Fixtures.path("data/domains_valid.jsonl")),
    ]
    let next = try TrainingRun(changes.merging(["adaptation_adversary": 1]) { $1 })
    try next.train()
    #expect(try domains(next) == domains(first))
    let other = try TrainingRun(
      changes.merging(["adaptation_domains": ["a", "b"], "adaptation_norms": "all"]) { $1 })
    let refused = try other.start([]).wait()
    #expect(refused.status != 0 && refused.everything.contains("adaptation_domains"), "\(refused.everything)")
  }

  @Test(arguments: [
    (#"{"text": "a b c", "domain": "sea"}"#, "adaptation_domains"),
    (#"{"text": "a b c"}"#, "adaptation_domain_field"),
  ])
  func aRowOfNoDomain(line: String, key: String) throws {
    let scratch = try Scratch()
    let data = scratch.path("rows.jsonl")
    let good = #"{"text": "one two three", "domain": "road"}"#
    try (good + "\n" + line + "\n" + good + "\n").write(toFile: data, atomically: true, encoding: .utf8)
    let again = try TrainingRun(
      Self.adversary.merging(["train_data_path": .string(data), "val_data_path": .string(data)]) { $1 })
    let refused = try again.start([]).wait()
    #expect(
      refused.status != 0 && refused.everything.contains("rows.jsonl:2") && refused.everything.contains(key),
      "\(refused.everything)")
  }
}
