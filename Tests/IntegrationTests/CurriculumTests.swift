import Foundation
import Harness
import JSON
import Testing

/// Rows that are taken by their difficulty, weight, label or length: as designed, and the same whoever computes.
@Suite(.serialized) struct CurriculumTests {
  /// Easy rows are short, hard ones long; rows 0, 2, … are easy. Weights, labels and domains are planted as well.
  static func data(_ scratch: Scratch, rows: Int = 60) throws {
    let words = ["river", "boat", "harbour", "thaw", "miller", "sack", "count", "year", "froze", "lay"]
    let lines = (0..<rows).map { row in
      let isHard = row % 2 == 1
      let length = isHard ? 14 + row % 5 : 2 + row % 3
      let text = (0..<length).map { words[(row * 7 + $0 * 3) % words.count] }.joined(separator: " ")
      return #"{"text": "\#(text)", "weight": \#(isHard ? 1 : 9), "label": "\#(row < 50 ? "many" : "few")"}"#
    }
    try scratch.write("planted.jsonl", lines.joined(separator: "\n") + "\n")
    let hard = lines.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    try scratch.write("hard.jsonl", hard.joined(separator: "\n") + "\n")
  }

  static func run(_ changes: [String: JSONValue]) throws -> TrainingRun {
    // Relative to the config.
    let run = try TrainingRun(["train_data_path": "planted.jsonl"].merging(changes) { $1 })
    try data(run.scratch)
    return run
  }

  /// Mean over some steps.
  private func mean(_ rows: ArraySlice<JSONValue>, _ key: String = "sampled_difficulty") -> Double {
    rows.reduce(0) { $0 + ($1[key]?.double ?? .nan) } / Double(rows.count)
  }

  /// From easy rows alone to all of them: the planted halves lie below .2 and above .6.
  @Test func difficultyRisesOverTime() throws {
    let run = try Self.run([
      "num_steps": 40, "eval_every": 40, "curriculum_strategy": "progressive", "curriculum_initial": 0.2,
      "curriculum_steps": 20, "curriculum_warmup": 5, "sampling_difficulty": "length", "batch_size": 4,
    ])
    let result = try run.train()
    #expect(result.everything.contains("curriculum progressive, by length"))
    let rows = try run.metrics()
    for (done, row) in rows.enumerated() {
      let threshold = min(1, max(0.2, 0.2 + 0.8 * Double(done - 5) / 20))
      #expect(abs((row["curriculum_threshold"]?.double ?? 0) - threshold) < 1e-12, "step \(done + 1)")
      #expect((row["sampled_difficulty"]?.double ?? 2) <= threshold)
    }
    let report = run.scratch.path("report.html")
    try Program.tool.run(["report", run.folder, "--output", report]).expectSuccess()
    #expect(try String(contentsOfFile: report, encoding: .utf8).contains("Difficulty of the rows"))
    // Easy rows alone, then both halves: their mean is near the middle.
    #expect(mean(rows[0..<8]) < 0.2 && mean(rows[30...]) > 0.35 && mean(rows[30...]) < 0.65)
  }

  /// Stages end with evaluations, and have difficulties and rates of their own.
  @Test func stagesAdvanceByThemselves() throws {
    let run = try Self.run([
      "num_steps": 12, "eval_every": 3, "curriculum_strategy": "stages", "sampling_difficulty": "length",
      "warmup_steps": 0,
      "curriculum_stages": [
        ["range": [0, 0.3], "target": 0, "learning_rate": 0.02], ["range": [0.3, 0.9], "target": 0],
        ["range": [0.5, 1], "target": 1],
      ],
    ])
    try run.train()
    let rows = try run.metrics()
    #expect(rows.map { $0["curriculum_stage"]?.int } == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2])
    #expect(
      rows.map { $0["learning_rate"]?.double } == [0.02, 0.02, 0.02] + Array(repeating: 0.01, count: 9))
    #expect(mean(rows[0..<3]) < 0.3 && mean(rows[3..<6]) > 0.3 && mean(rows[6...]) > 0.5)
    let evaluations = try Harness.rows(run.file("metrics/eval_metrics.jsonl"))
    for row in evaluations {
      let (correct, tokens) = (row["correct_tokens"]?.int ?? -1, row["tokens"]?.int ?? 0)
      #expect((0...tokens).contains(correct) && row["accuracy"]?.double == Double(correct) / Double(tokens))
    }
    #expect(evaluations.count == 4)
  }

  /// A stage takes its own rows, as many as it says, and its periods once each tier has closed its window; the ledger has
  /// the plans, and everybody counts updates by them.
  @Test func stagesWithPlansAndDataOfTheirOwn() throws {
    let run = try Self.run([
      "num_steps": 12, "eval_every": 3, "curriculum_strategy": "stages", "sampling_difficulty": "length",
      "warmup_steps": 0, "tier_update_frequencies": [1, 2, 4], "val_data_path": "planted.jsonl",
      "gradient_accumulation_steps": 1, "batch_size": 2,
      "curriculum_stages": [
        ["range": [0, 0.3], "target": 0],
        ["target": 0, "data": "hard.jsonl", "batch_size": 5, "frequencies": [1, 1, 3]],
        ["target": 1, "frequencies": [2, 2, 2]],
      ],
    ])
    let result = try run.train()
    #expect(result.everything.contains("stage 1: micro-batches of 5 rows"), "\(result.everything)")
    let rows = try run.metrics()
    #expect(rows.map { $0["curriculum_stage"]?.int } == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2])
    // Rows have 2 to 4 words or 14 to 18, each of some tokens.
    let tokens = rows.map { $0["tokens"]?.int ?? 0 }
    #expect(tokens[3..<6].allSatisfy { $0 > 5 * 14 } && tokens[0..<3].allSatisfy { $0 < 2 * 14 }, "\(tokens)")
    // By hand. Tier 0: 1, …, 6, then 8, 10, 12. Tier 1: 2, 4 (its window is open after step 3), 5, 6, then 8, 10, 12. Tier 2:
    // 4, then 7 (its window is open after step 6), 9, 11.
    let updates: [[Int]] = [
      [0], [0, 1], [0], [0, 1, 2], [0, 1], [0, 1], [2], [0, 1], [2], [0, 1], [2], [0, 1],
    ]
    #expect(rows.map { ($0["active_tiers"]?.array ?? []).compactMap(\.int) } == updates)
    let statistics = try #require(rows.last?["tier_stats"])
    #expect(statistics["tier_update_frequencies"] == [2, 2, 2])
    #expect(statistics["tier_update_counts"] == [9, 7, 4])
    let plans = try JSONValue(
      parsing: sqlite(
        run.file("state.sqlite"),
        "SELECT json_group_array(json_array(number, first_step, json_extract(plan, '$.tiers[2].after'))) FROM tier_plans"
      ))
    #expect(plans == [[1, 1, nil], [2, 4, 4], [3, 7, 7]])
    let proof = try Program.tool.run(["verify", run.folder, "--all"])
    #expect(proof.status == 0, "\(proof.everything)")
    let report = run.scratch.path("report.html")
    try Program.tool.run(["report", run.folder, "--output", report]).expectSuccess()
    // What it says of tier 1: 7 updates of 7 that were due.
    let inputs = try JSONValue(parsing: String(contentsOfFile: run.file("config.json"), encoding: .utf8))
    #expect(inputs["inputs_sha256"]?["stage_1_data"]?.string?.count == 64)
    // Other rows of a stage are another run.
    try run.scratch.write("hard.jsonl", #"{"text": "another"}"# + "\n")
    let again = try Program.coord.run(["rollback", run.folder, "--to-step", "12"])
    let resumed = try Program.coord.run(["resume", run.folder])
    #expect(
      resumed.status != 0 && resumed.errors.contains("stage 1"), "\(again.everything)\(resumed.everything)")
  }

  /// Modules move once all tiers that lose or gain some are updated by one step; the ledger, the metrics and whoever reads
  /// them know where each is.
  @Test func modulesMoveToOtherTiers() throws {
    let map: JSONValue = ["model.layers.0.self_attn.q_proj": 2]
    let run = try Self.run([
      "num_steps": 12, "eval_every": 3, "curriculum_strategy": "stages", "sampling_difficulty": "length",
      "tier_update_frequencies": [1, 2, 4], "tier_lr_scale": [1, 0.5, 0.25],
      "warmup_steps": 0, "lr_schedule": "constant", "gradient_accumulation_steps": 1,
      "save_best_only": false, "checkpoint_every": 6,
      "curriculum_stages": [
        ["target": 0], ["target": 0, "tier_map": map], ["target": 1, "frequencies": [1, 1, 3]],
      ],
    ])
    let table = try Program.tool.run(["tiers", "--config", run.configPath]).expectSuccess().output
    #expect(
      table.contains("Tier  As  Period") && table.contains("Stage 1: tiers 0, 1, 2, 3 as tiers 0, 2, 1, 2"))
    try run.train(["--local-workers", "2", "--threads-per-worker", "1"])
    let rows = try run.metrics()
    // By hand. From step 4 on it is to be in tier 2: tiers 0 and 2 are both updated by step 4. From step 7 on it is to be back:
    // both are updated by step 8. Tier 2 of the config is tier 3 here: 4, 8, 11.
    let updates: [[Int]] = [
      [0, 1], [0, 1, 2], [0, 1], [0, 1, 2, 3], [0], [0, 2], [0, 2], [0, 1, 2, 3], [0, 1, 2], [0, 1, 2],
      [0, 1, 2, 3], [0, 1, 2],
    ]
    #expect(rows.map { ($0["active_tiers"]?.array ?? []).compactMap(\.int) } == updates)
    let rates = rows.map { ($0["tier_learning_rates"]?.array ?? []).compactMap(\.double) }
    #expect(
      rates.map { $0[1] / $0[0] } == Array(repeating: 1, count: 4) + Array(repeating: 0.25, count: 4)
        + Array(repeating: 1, count: 4))
    let statistics = try #require(rows.last?["tier_stats"])
    #expect(statistics["tier_update_counts"] == [12, 9, 9, 3])
    #expect(
      (0..<4).map { statistics["tier_parameters"]?["tier_\($0)"]?["config_tier"]?.int } == [0, 0, 1, 2])
    let plans = try JSONValue(
      parsing: sqlite(
        run.file("state.sqlite"),
        "SELECT json_group_array(json_array(number, first_step, json_extract(plan, '$.tiers[1].after', '$.tiers[1].config_tier'))) FROM tier_plans"
      ))
    #expect(
      plans.text.filter { !"\\\"".contains($0) } == "[[1, 1, [null, 0]], [2, 4, [4, 2]], [3, 7, [8, 0]]]",
      "\(plans.text)")
    let report = run.scratch.path("report.html")
    try Program.tool.run(["report", run.folder, "--output", report]).expectSuccess()
    #expect(
      try String(contentsOfFile: report, encoding: .utf8).contains(
        "every step as tier 0, every 4 steps as tier 2 after step 4, every step as tier 0 after step 8"))
    let proof = try Program.tool.run(["verify", run.folder, "--all"])
    #expect(proof.status == 0, "\(proof.everything)")
    // Back to where the second plan is in force, and on from there.
    let (adapter, state) = (try run.adapterHash(), try run.stateDigest())
    _ = try Program.coord.run(["rollback", run.folder, "--to-step", "6"]).expectSuccess()
    try run.resume(["--local-workers", "1"])
    #expect(try run.adapterHash() == adapter && run.stateDigest() == state)
    #expect(try run.metrics().map { ($0["active_tiers"]?.array ?? []).compactMap(\.int) } == updates)
    // That no step is a boundary of both is told before training.
    let never = try Program.tool.run(
      [
        "tiers", "--config", run.configPath, "--tier-phase", "0", "1", "1", "--tier-update-frequencies", "2",
        "2", "4",
      ]
    ).expectSuccess().output
    #expect(never.contains("Warning: stage 1 of curriculum_stages moves nothing"), "\(never)")
  }

  /// Weights of 9 to 1 for easy rows, by the length that tells them from hard ones.
  @Test func weights() throws {
    let weighted: [String: JSONValue] = ["sampling_mode": "importance", "sampling_weight_field": "weight"]
    func tokens(_ changes: [String: JSONValue]) throws -> Int {
      let run = try Self.run(changes.merging(["num_steps": 30, "batch_size": 4, "eval_every": 30]) { $1 })
      try run.train()
      return try run.metrics().reduce(0) { $0 + ($1["tokens"]?.int ?? 0) }
    }
    let plain = try tokens([:])
    #expect(try tokens(weighted) * 10 < plain * 7)
  }

  static let paths: [[String: JSONValue]] = [
    // Everything about difficulty, with a measurement before training.
    ["curriculum_strategy": "competence_sqrt", "inactive_gradients": "mean", "loss": "flow"],
    [
      "sampling_mode": "difficulty", "sampling_range": [0, 0.6], "loss": "eaft", "packing": true,
      "max_seq_length": 48,
    ],
    [
      "curriculum_strategy": "stages", "inactive_gradients": "sum", "sampling_difficulty": "rarity",
      "curriculum_stages": ["0:0.5:0:0.02", "0.3:1:0"],
    ],
    // Periods, data and batch sizes of the stages' own.
    [
      "curriculum_strategy": "stages", "inactive_gradients": "mean", "sampling_difficulty": "length",
      "tier_update_frequencies": [1, 2, 5], "val_data_path": "planted.jsonl",
      "curriculum_stages": [
        ["target": 0, "frequencies": [1, 3, 4]], ["target": 0, "data": "hard.jsonl", "batch_size": 3],
        ["target": 1, "range": [0.4, 1], "frequencies": [2, 2, 7], "learning_rate": 0.02],
      ],
    ],
    // Modules that move, with periods of their own, while one waits for its window.
    [
      "curriculum_strategy": "stages", "inactive_gradients": "mean", "sampling_difficulty": "length",
      "tier_update_frequencies": [1, 2, 4], "tier_lr_scale": "inverse_frequency", "optimizer": "adamw",
      "curriculum_stages": [
        ["target": 0, "tier_map": ["*.2.*.v_proj": 0]],
        [
          "target": 0, "tier_map": ["*.0.*.q_proj": 2, "*.1.*.q_proj": 0, "*.2.*": 1],
          "frequencies": [1, 3, 4],
        ],
        ["target": 0, "frequencies": [2, 3, 3]], ["target": 1, "tier_map": ["*.3.*.q_proj": 0]],
      ],
    ],
    [
      "curriculum_strategy": "competence", "curriculum_initial": 1, "curriculum_delta": 0.2,
      "curriculum_patience": 1,
      "select_scale": true,
      "sampling_difficulty": "length", "replay_data_path": .string(Fixtures.path("data/replay.jsonl")),
    ],
    [
      "sampling_mode": "importance", "sampling_weight_field": "weight", "curriculum_strategy": "progressive",
      "sampling_difficulty": "length",
    ],
    ["sampling_mode": "balanced", "sampling_balance_field": "label", "packing": true, "max_seq_length": 48],
    ["sampling_mode": "length", "sampling_domain_field": "label", "sampling_length_mode": "mixed"],
  ]

  /// One worker, and three of which one is killed.
  @Test(arguments: paths) func oneAnswer(changes: [String: JSONValue]) throws {
    let common: [String: JSONValue] = ["num_steps": 9, "eval_every": 3]
    let reference = try Self.run(common.merging(changes) { $1 })
    try reference.train(["--threads-per-worker", "1"])
    let run = try Self.run(common.merging(changes) { $1 })
    try run.train(
      ["--local-workers", "3", "--threads-per-worker", "1"],
      environment: ["NL_FAILPOINTS": "exit.upload@13", "NL_TOKEN_CACHE": "off"])
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
    let difficulties = try run.metrics().map { $0["sampled_difficulty"] }
    #expect(try difficulties == reference.metrics().map { $0["sampled_difficulty"] })
  }

  /// Killed between evaluations that the draws follow; what is computed again is held to its record, and proved
  /// afterwards.
  @Test(arguments: [2, 3, 4, 5]) func killedAndResumed(path: Int) throws {
    let changes = Self.paths[path].merging(["num_steps": 200, "eval_every": 10]) { $1 }
    let reference = try Self.run(changes)
    try reference.train()
    let run = try Self.run(changes)
    var running = try run.start(["--local-workers", "2", "--threads-per-worker", "1"])
    for stop in [35, 95] {
      #expect(waitUntil(seconds: 60) { run.step >= stop })
      kill(running.process.processIdentifier, SIGKILL)
      _ = try running.wait()
      running = try Program.coord.start(["resume", run.folder])
    }
    #expect(try running.wait().status == 0, "\(running.output)\(running.errors)")
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
    let evaluations = try rows(run.file("metrics/eval_metrics.jsonl"))
    #expect(try evaluations == rows(reference.file("metrics/eval_metrics.jsonl")))
    // What was followed has changed what was taken.
    let taken = try run.metrics().map {
      [$0["curriculum_threshold"]?.double ?? -1, $0["curriculum_stage"]?.double ?? -1]
    }
    #expect(Set(taken).count > 1)
    let proof = try Program.tool.run(["verify", run.folder, "--all"])
    #expect(proof.status == 0, "\(proof.everything)")
  }

  @Test func whatIsMissingIsNamed() throws {
    let run = try Self.run(["sampling_mode": "importance", "sampling_weight_field": "wight"])
    let result = try run.start().wait()
    #expect(result.status != 0 && result.errors.contains("planted.jsonl:1: wight"), "\(result.everything)")
    let wrong = try Program.coord.run(
      [
        "train", "--config", run.configPath, "--curriculum-strategy", "progressive", "--curriculum-final",
        "0.1",
      ])
    #expect(wrong.status != 0 && wrong.everything.contains("--curriculum-final"), "\(wrong.everything)")
  }
}
