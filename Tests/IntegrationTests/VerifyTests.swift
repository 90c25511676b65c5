import Foundation
import Harness
import JSON
import Testing

/// `nl-tool verify` on runs of real programs: honest ones are proved, whatever they went through, and each of four faults
/// that are made on purpose is named, with step, layer and whose it is.
@Suite(.serialized) struct VerifyTests {
  private struct Answer {
    let status: Int32
    let json: JSONValue
    var faults: [JSONValue] { (json["stretches"]?.array ?? []).flatMap { $0["faults"]?.array ?? [] } }
    var fault: JSONValue? { faults.first }
  }

  private func verify(_ run: TrainingRun, _ flags: String...) throws -> Answer {
    let result = try Program.tool.run(["verify", run.folder, "--json"] + flags)
    guard let json = try? JSONValue(parsing: result.output) else {
      throw HarnessError("exit code \(result.status): \(result.everything)")
    }
    return Answer(status: result.status, json: json)
  }

  private func expectProved(_ run: TrainingRun, steps: Int) throws {
    let answer = try verify(run, "--all")
    #expect(answer.status == 0 && answer.json["proved"]?.bool == true, "\(answer.json.text)")
    #expect(answer.json["computed_steps"]?.int == steps)
    let newest = try verify(run)
    #expect(newest.status == 0, "\(newest.json.text)")
  }

  /// Config changes and flags of honest runs.
  private static let honest: [(name: String, changes: [String: JSONValue], flags: [String])] = [
    ("discard", ["tier_update_frequencies": [1, 2, 4]], ["--local-workers", "2"]),
    (
      "mean", ["inactive_gradients": "mean", "tier_update_frequencies": [1, 2, 4], "flush_every": 3],
      ["--local-workers", "2"]
    ),
    (
      "sum, dropout",
      ["inactive_gradients": "sum", "lora_dropout": 0.2, "tier_update_frequencies": [2, 3, 6]],
      ["--local-workers", "2"]
    ),
    ("skipped steps", ["tier_update_frequencies": [4, 8, 8], "loss_every": 3], ["--local-workers", "2"]),
    ("by tier", ["tier_update_frequencies": [1, 1, 2]], ["--local-workers", "3", "--shard-by", "tier"]),
    (
      "consolidate, self-replay, KL",
      [
        "tier_mode": "consolidate", "tier_update_frequencies": [1, 2, 4], "replay": "self",
        "replay_fraction": 0.5, "replay_targets": "soft", "kl_to_base": 0.1, "self_replay_samples": 8,
        "self_replay_tokens": 12,
      ], ["--local-workers", "2"]
    ),
    ("full, layers computed twice", ["trainable": "full", "activation_checkpointing": "layer"], []),
  ]

  @Test(arguments: 0..<honest.count) func honestRunsAreProved(number: Int) throws {
    let (name, changes, flags) = Self.honest[number]
    let run = try TrainingRun(changes.merging(["num_steps": 12, "checkpoint_every": 5]) { $1 })
    try run.train(flags + ["--threads-per-worker", "1"])
    try expectProved(run, steps: 12)
    let answer = try verify(run, "--step", "7", "--threads", "3")
    #expect(answer.status == 0 && answer.json["computed_steps"]?.int == 2, "\(name): \(answer.json.text)")
  }

  /// Runs whose steps follow what evaluations find, with what of the record of the one after step 6 is changed.
  private static let following: [(changes: [String: JSONValue], change: String, what: String)] = [
    (
      [
        "curriculum_strategy": "stages", "curriculum_stages": ["0:0.6:0.9", "0.2:1:1"],
        "sampling_difficulty": "length",
      ],
      "json_set(metrics, '$.correct_tokens', json_extract(metrics, '$.correct_tokens') + 1)",
      "tokens are right"
    ),
    (["lr_schedule": "plateau", "plateau_patience": 0], "metrics", "the loss is"),
    (
      [
        "tasks": [
          ["name": "topic", "type": "classification", "labels": ["sea", "mill", "town"]],
          ["name": "text", "type": "language_modeling"],
        ],
        "tasks_schedule": "worst_first", "max_seq_length": 64,
      ],
      "json_set(metrics, '$.worst_task', iif(metrics ->> 'worst_task' = 'topic', 'text', 'topic'))",
      "the worst task is another"
    ),
  ]

  /// What steps follow is computed again as well: an honest run is proved with its evaluations, and one whose record was
  /// changed is not, and the evaluation is named before any step that stands on it.
  @Test(arguments: 0..<following.count) func evaluationsThatStepsFollow(number: Int) throws {
    let (changes, change, what) = Self.following[number]
    let run = try TrainingRun(
      changes.merging(["num_steps": 12, "eval_every": 3, "checkpoint_every": 6]) { $1 })
    if changes["tasks"] != nil {
      let rows = try rows(Fixtures.path("data/tasks.jsonl")).filter { $0["task"] != "tag" }
      try run.scratch.write("two.jsonl", rows.map { $0.text + "\n" }.joined())
      var config = run.config
      (config["train_data_path"], config["val_data_path"]) = ("two.jsonl", "two.jsonl")
      try run.scratch.write("config.json", JSONValue.object(config).text)
    }
    try run.train(["--threads-per-worker", "1"])
    try expectProved(run, steps: 12)
    #expect(try verify(run, "--all").json["computed_evaluations"]?.int == 4)
    try self.change(
      run,
      "UPDATE evaluations SET metrics = \(change)\(number == 1 ? ", loss = loss * 1.5" : "") WHERE step = 6")
    let answer = try verify(run, "--all")
    // Later stretches begin from steps that had followed what was recorded then.
    #expect(answer.status == 1 && answer.fault?["step"]?.int == 6, "\(answer.json.text)")
    #expect(answer.fault?["direction"] == "evaluation", "\(answer.json.text)")
    #expect(answer.fault?["detail"]?.string?.contains(what) == true, "\(answer.json.text)")
    let text = try Program.tool.run(["verify", run.folder, "--all"])
    #expect(text.status == 1 && text.output.contains("Evaluation after step 6: wrong"), "\(text.everything)")
  }

  /// A coordinator that was killed, a worker that was killed, a run that went back by hand.
  @Test func aRunWithAHistoryIsProved() throws {
    let run = try TrainingRun([
      "num_steps": 40, "checkpoint_every": 10, "inactive_gradients": "mean", "flush_every": 4,
    ])
    let first = try run.start(
      ["--local-workers", "2", "--threads-per-worker", "1"],
      environment: ["NL_FAILPOINTS": "compute.delay=0.01"])
    #expect(waitUntil(seconds: 60) { run.step >= 15 }, "\(first.errors)")
    kill(first.process.processIdentifier, SIGKILL)
    _ = try first.wait()
    try run.resume(["--local-workers", "3", "--threads-per-worker", "1"])
    try Program.coord.run(["rollback", run.folder, "--to-step", "20"]).expectSuccess()
    try run.resume(["--threads-per-worker", "2"])
    try expectProved(run, steps: 40)
  }

  private func expect(
    _ answer: Answer, step: Int, direction: String, layer: String?, isOfWorker: Bool
  ) throws {
    #expect(answer.status == 1 && answer.json["proved"]?.bool == false)
    let fault = try #require(answer.fault, "\(answer.json.text)")
    #expect(fault["step"]?.int == step && fault["direction"]?.string == direction, "\(fault.text)")
    #expect(fault["layer"]?.string == layer, "\(fault.text)")
    #expect((fault["worker"]?.string != nil) == isOfWorker, "\(fault.text)")
  }

  /// The failpoint changes the first number of a tier's gradient, which is of its first module. Three tiers have one
  /// micro-batch at each step, so that the tenth gradient of the only worker is tier 0's at step 4. Behind it the stretch
  /// is unprovable, and the next one, from the snapshot of step 5 on, is right in itself.
  @Test func aWrongGradient() throws {
    let run = try TrainingRun([
      "num_steps": 12, "checkpoint_every": 5, "gradient_accumulation_steps": 1, "verify_fraction": 0,
      "tier_update_frequencies": [1, 1, 1],
    ])
    try run.train(["--threads-per-worker", "1"], environment: ["NL_FAILPOINTS": "gradient.wrong@10"])
    let answer = try verify(run, "--all")
    let module = try #require(try firstModules(run).first)
    try expect(answer, step: 4, direction: "gradient", layer: module, isOfWorker: true)
    #expect(answer.faults.count == 1, "\(answer.json.text)")
    let worker = try sqlite(
      run.file("state.sqlite"),
      "SELECT 'worker ' || worker || ' (' || identity || ') in term ' || term FROM workers")
    #expect(answer.fault?["worker"]?.string == worker)
    let stretches = try #require(answer.json["stretches"]?.array)
    #expect(stretches.map { $0["proved_steps"]?.int } == [3, 5, 2])
    let text = try Program.tool.run(["verify", run.folder, "--all"])
    #expect(text.status == 1 && text.output.contains("Step 4: wrong"), "\(text.everything)")
    #expect(text.output.contains("Step 5: unprovable") && text.output.contains("Steps 6 to 12: proved"))
    // A step before it is proved all the same, and one after it is not.
    #expect(try verify(run, "--step", "3").status == 0)
    #expect(try verify(run, "--step", "5").status == 1)
  }

  /// The first module of each tier, by its name.
  private func firstModules(_ run: TrainingRun) throws -> [String] {
    let plan = try JSONValue(parsing: try sqlite(run.file("state.sqlite"), "SELECT plan FROM tier_plans"))
    return (plan["tiers"]?.array ?? []).compactMap { tier in
      (tier["parameters"]?.array?.first?.string).map { name in
        String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)])
      }
    }
  }

  /// The worker's partial sum of a window goes wrong, while its gradients are right.
  @Test func aWrongPartialSum() throws {
    let run = try TrainingRun([
      "num_steps": 12, "inactive_gradients": "sum", "tier_update_frequencies": [1, 4, 4],
      "verify_fraction": 0,
      "gradient_accumulation_steps": 1, "flush_every": 100,
    ])
    try run.train(["--threads-per-worker", "1"], environment: ["NL_FAILPOINTS": "chain.wrong@5"])
    let answer = try verify(run, "--all")
    // Three chains go on at each step, in the order of the tiers: the fifth is that of tier 1 at step 2.
    try expect(
      answer, step: 2, direction: "accumulate", layer: try firstModules(run)[1], isOfWorker: true)
  }

  @Test(arguments: ["discard", "mean"]) func aWrongReduction(window: String) throws {
    let run = try TrainingRun([
      "num_steps": 12, "verify_fraction": 0, "inactive_gradients": .string(window),
      "tier_update_frequencies": [1, 2, 4],
    ])
    try run.train(
      ["--local-workers", "2", "--threads-per-worker", "1"],
      environment: ["NL_FAILPOINTS": "reduction.wrong@6"])
    try expect(try verify(run, "--all"), step: 6, direction: "reduction", layer: nil, isOfWorker: false)
  }

  private func change(_ run: TrainingRun, _ statement: String) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/sqlite3")
    process.arguments = [run.file("state.sqlite"), statement]
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw HarnessError("sqlite3 has failed: \(statement)") }
  }

  /// The digest of a step in the middle and of the last one; that of a shard; that of its layers; the loss.
  @Test func aChangedLedger() throws {
    let run = try TrainingRun(["num_steps": 12, "tier_update_frequencies": [1, 2, 4]])
    try run.train(["--local-workers", "2", "--threads-per-worker", "1"])
    let zeros = String(repeating: "0", count: 64)
    func bytes(_ table: String, _ from: String, _ new: String, _ step: Int) -> String {
      "UPDATE \(table) SET digests = CAST(substr(digests, 1, \(from)) || x'\(new)' "
        + "|| substr(digests, \(from) + 3) AS BLOB) WHERE step = \(step)"
    }
    let changes: [(statement: String, step: Int, layer: String?)] = [
      ("UPDATE steps SET digest = '\(zeros)' WHERE step = 5", 5, nil),
      ("UPDATE steps SET digest = '\(zeros)' WHERE step = 12", 12, nil),
      ("UPDATE steps SET loss = loss + 1 WHERE step = 3", 3, nil),
      // The last bytes are of the last shard's digest.
      (bytes("shard_digests", "length(digests) - 2", "7E7F", 7), 7, nil),
      // Behind the form, four numbers that name the shard, and the count: 8 bytes of each layer's output.
      (bytes("layer_digests", "20", "7E7F", 9), 9, "model.layers.1"),
    ]
    let sound = try Data(contentsOf: URL(fileURLWithPath: run.file("state.sqlite")))
    for (statement, step, layer) in changes {
      try change(run, statement)
      try expect(try verify(run, "--all"), step: step, direction: "record", layer: layer, isOfWorker: false)
      for name in ["state.sqlite-wal", "state.sqlite-shm"] {
        try? FileManager.default.removeItem(atPath: run.file(name))
      }
      try sound.write(to: URL(fileURLWithPath: run.file("state.sqlite")))
    }
    #expect(try verify(run, "--all").status == 0)
  }

  /// A snapshot whose bytes have changed begins nothing: its stretch is part of the one before.
  @Test func aDamagedSnapshot() throws {
    let run = try TrainingRun(["num_steps": 12, "checkpoint_every": 4])
    try run.train(["--threads-per-worker", "1"])
    let manifest = try sqlite(run.file("state.sqlite"), "SELECT manifest FROM snapshots WHERE step = 8")
    let text = try String(contentsOfFile: run.file("state/\(manifest).json"), encoding: .utf8)
    let blob = try #require(try JSONValue(parsing: text)["blobs"]?.array?.first?["sha256"]?.string)
    try Data([1, 2, 3, 4]).write(to: URL(fileURLWithPath: run.file("state/\(blob).blob")))
    let answer = try verify(run, "--all")
    #expect(
      answer.status == 0 && answer.json["damaged_snapshots"]?.array?.map(\.int) == [8], "\(answer.json.text)")
    #expect(answer.json["stretches"]?.array?.map { $0["proved_steps"]?.int } == [4, 8])
  }

  @Test func whatCannotBeAsked() throws {
    let run = try TrainingRun(["num_steps": 3])
    try run.train()
    let beyond = try Program.tool.run(["verify", run.folder, "--step", "4"])
    #expect(beyond.status != 0 && beyond.errors.contains("its steps are 1 to 3"), "\(beyond.everything)")
    let both = try Program.tool.run(["verify", run.folder, "--step", "2", "--all"])
    #expect(both.status == 64 && both.errors.contains("either --step N or --all"), "\(both.everything)")
    let none = try Program.tool.run(["verify", run.scratch.path("nothing")])
    #expect(none.status != 0 && none.errors.contains("state.sqlite"), "\(none.everything)")
  }
}
