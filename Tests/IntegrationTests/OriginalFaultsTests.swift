import Foundation
import Harness
import JSON
import LanguageModel
import NestedLearning
import Testing

/// What implementations before this one got wrong, a test each.
@Suite(.serialized) struct OriginalFaultsTests {
  /// Tier maps with no parameters in them.
  @Test func aTierWithoutParametersIsAnError() throws {
    let run = try TrainingRun([
      "tier_assignment_strategy": "manual", "manual_tier_map": [["pattern": "*", "tier": 0]],
    ])
    let result = try run.start().wait()
    #expect(
      result.status != 0 && result.errors.contains("tier 1 of 3 has no parameters"), "\(result.everything)")
    #expect(!FileManager.default.fileExists(atPath: run.folder))
  }

  /// An optimizer that knew only the tiers that were active at first: the others never moved.
  @Test func everyTierThatIsUpdatedMoves() throws {
    let run = try TrainingRun(["tier_update_frequencies": [2, 3, 5]])
    try run.train()
    let drift = try JSONValue(
      parsing: Program.tool.run(["diff", run.folder, "--json"]).expectSuccess().output)
    let tiers = try #require(drift["tiers"]?.array)
    #expect(tiers.count == 3 && tiers.allSatisfy { ($0["drift"]?.double ?? 0) > 0 })
    #expect((drift["modules"]?.array ?? []).allSatisfy { ($0["drift"]?.double ?? 0) > 0 })
    #expect(try run.metrics().last?["tier_stats"]?["tier_update_counts"] == [5, 3, 2])
  }

  /// A training that changes nothing, in silence. In a model of zeros every gradient is zero.
  @Test func aRunThatChangesNothingIsAnError() throws {
    let run = try TrainingRun(["base_model_path": "zeros"])
    let model = Fixtures.path("models/qwen2_f32")
    try FileManager.default.copyItem(atPath: model, toPath: run.scratch.path("zeros"))
    let weights = run.scratch.path("zeros/model.safetensors")
    let file = try SafetensorsFile(path: model + "/model.safetensors")
    var zeros: [String: HostTensor] = [:]
    for name in file.names { zeros[name] = HostTensor(zeros: try file.tensor(name).shape) }
    try FileManager.default.removeItem(atPath: weights)
    try SafetensorsWriter.write(zeros, to: weights)
    let result = try run.start().wait()
    #expect(result.status != 0, "\(result.everything)")
    #expect(result.everything.contains("step 1 was to update tiers [0], and not one parameter changed"))
  }

  /// Each micro-batch was clipped by itself, over all gradients. Clipping is once a step, over what is applied: the huge
  /// gradient of a tier that is not due changes nothing, and two micro-batches that cancel out are not clipped.
  @Test func clippingIsOnceAStepOverWhatIsApplied() throws {
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    (config.numTiers, config.tierUpdateFrequencies) = (2, [1, 2])
    (config.inactiveGradients, config.maxGradNorm, config.warmupSteps) = (.sum, 1, 0)
    let scheduler = try ParameterTierScheduler(
      config: config,
      parameters: (0..<2).map { (layer: Int) in
        TrainableParameter(name: "p\(layer)", module: "m\(layer)", layer: layer, count: 1)
      })
    var state = try NestedTrainerState(
      config: config, scheduler: scheduler, parameters: ["p0": [1], "p1": [1]],
      shapes: ["p0": [1], "p1": [1]])
    let microBatches: [GradientSums] = [["p0": [100], "p1": [1e6]], ["p0": [-99.5], "p1": [1e6]]]
    let outcome = try state.apply(step: 1, trainedTokens: 1, gradients: .scaledMicroBatches(microBatches))
    #expect(outcome.gradNorm == 0.5 && outcome.clipScale == 1)
  }

  /// Padding was counted in the loss. The reference are the rows' own lengths: every token but the first of a row counts,
  /// and rows together have the loss that they have one by one.
  @Test func paddingIsNoPartOfTheLoss() throws {
    let rows = try Fixtures.json("data/rows_qwen2_f32.json")["train"]?.array ?? []
    let lengths = rows.prefix(6).map { $0.array?.count ?? 0 }
    try #require(Set(lengths).count > 1)
    var losses: [Double] = []
    for (batch, accumulation) in [(6, 1), (1, 6)] {
      let run = try TrainingRun([
        "batch_size": .number(batch), "gradient_accumulation_steps": .number(accumulation), "shuffle": false,
        "num_steps": 1,
      ])
      try run.train()
      let row = try #require(try run.metrics().first)
      #expect(row["tokens"]?.int == lengths.reduce(0) { $0 + $1 - 1 })
      losses.append(try #require(row["loss"]?.double))
    }
    #expect(abs(losses[0] - losses[1]) <= 1e-6 * losses[1])
  }

  /// The seed was never applied.
  @Test func theSeedDecides() throws {
    func hash(_ changes: [String: JSONValue]) throws -> String {
      let run = try TrainingRun(changes.merging(["num_steps": 3, "lora_dropout": 0.1]) { $1 })
      try run.train()
      return try run.adapterHash()
    }
    let first = try hash(["seed": 1])
    #expect(try hash(["seed": 1]) == first)
    #expect(try hash(["seed": 2]) != first)
  }

  /// `stop` only set a flag, and a resumed run had nothing but its step number back. A stop ends the run with a
  /// checkpoint, and what goes on from there comes to the bits of a run that was not stopped.
  @Test func aStopEndsTheRunAndAResumedOneIsTheSame() throws {
    let changes: [String: JSONValue] = [
      "num_steps": 400, "eval_every": 200, "inactive_gradients": "mean", "lora_dropout": 0.1,
    ]
    let whole = try TrainingRun(changes)
    try whole.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(changes)
    let running = try run.start(["--threads-per-worker", "1"])
    try #require(waitUntil(seconds: 60) { run.step >= 20 || !running.process.isRunning })
    running.interrupt()
    let result = try running.wait(seconds: 60)
    let stopped = run.step
    #expect(stopped < 400 && result.output.contains("Stopped"), "\(result.everything)")
    let name = String(format: "checkpoints/checkpoint_%07d/adapters.safetensors", stopped)
    #expect(FileManager.default.fileExists(atPath: run.file(name)))
    try run.resume(["--threads-per-worker", "1"])
    #expect(try run.adapterHash() == whole.adapterHash() && run.stateDigest() == whole.stateDigest())
  }

  /// An early stop left no final checkpoint.
  @Test func anEarlyStopHasItsFinalCheckpoint() throws {
    let run = try TrainingRun([
      "num_steps": 50, "eval_every": 2, "early_stop": true, "patience": 2, "min_delta": 10,
    ])
    let said = try run.train()
    #expect(said.output.contains("Done early") && run.step < 50)
    let metadata = try JSONValue(
      parsing: String(contentsOfFile: run.file("checkpoints/final/metadata.json"), encoding: .utf8))
    #expect(metadata["is_final"] == true && metadata["step"]?.int == run.step)
  }

  /// The adapter's scale was a number in the source.
  @Test func theAdaptersScaleIsThatOfTheConfig() throws {
    let run = try TrainingRun(["num_steps": 1, "lora_rank": 4, "lora_alpha": 6])
    try run.train()
    func config(_ file: String) throws -> JSONValue {
      try JSONValue(parsing: String(contentsOfFile: run.file("checkpoints/final/" + file), encoding: .utf8))
    }
    #expect(try config("adapter_config.json")["lora_parameters"]?["scale"]?.double == 1.5)
    let peft = try config("peft/adapter_config.json")
    #expect(peft["lora_alpha"]?.double == 6 && peft["r"]?.int == 4)
  }
}
