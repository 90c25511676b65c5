import Harness
import JSON
import Testing

/// Options that touch each other, by pairs: any two values that go together are in one of these runs, and each run comes to
/// the same bits with one worker as with three of which one is killed.
@Suite struct PairwiseTests {
  static let replay = JSONValue.string(Fixtures.path("data/replay.jsonl"))

  static let factors = [
    Pairs.Factor(
      name: "tiers",
      values: [
        ("depth", [:]),
        ("importance", ["tier_assignment_strategy": "parameter_importance", "importance_steps": 3]),
        ("staggered", ["tier_phase": "staggered", "tier_order": "deep_fast"]),
        (
          "consolidate", ["tier_mode": "consolidate", "tier_update_frequencies": [1, 2, 4], "anchor": 0.1]
        ),
      ]),
    Pairs.Factor(
      name: "gradients",
      values: [
        ("discard", [:]), ("mean", ["inactive_gradients": "mean", "flush_every": 2]),
        ("sum", ["inactive_gradients": "sum", "tier_lr_scale": "inverse_frequency"]),
      ]),
    Pairs.Factor(
      name: "replay",
      values: [
        ("none", [:]), ("data", ["replay_data_path": replay, "replay_fraction": 0.3]),
        (
          "self",
          ["replay": "self", "self_replay_samples": 8, "self_replay_tokens": 8, "replay_targets": "soft"]
        ),
        ("boundaries", ["replay_data_path": replay, "replay_fraction": 0.5, "replay_at": "boundaries"]),
      ]),
    Pairs.Factor(
      name: "loss", values: [("ce", [:]), ("eaft", ["loss": "eaft"]), ("flow", ["loss": "flow"])]),
    Pairs.Factor(
      name: "held",
      values: [
        ("no", [:]), ("kl", ["kl_to_base": 0.3, "kl_on": "all"]),
        ("ewc", ["ewc_lambda": 3, "ewc_data_path": replay, "ewc_rows": 4]), ("l2", ["l2_sp_lambda": 0.2]),
      ]),
    Pairs.Factor(name: "dropout", values: [("0", [:]), (".1", ["lora_dropout": 0.1])]),
    Pairs.Factor(
      name: "rows", values: [("single", [:]), ("packed", ["packing": true, "max_seq_length": 48])]),
    Pairs.Factor(
      name: "taken",
      values: [
        ("shuffled", [:]),
        ("progressive", ["curriculum_strategy": "progressive", "sampling_difficulty": "rarity"]),
        (
          "stages",
          [
            "curriculum_strategy": "stages", "curriculum_stages": ["0:0.5:0:0.02", "0.3:1:0"],
            "sampling_difficulty": "length",
          ]
        ),
      ]),
    Pairs.Factor(name: "end", values: [("whole", [:]), ("scaled", ["select_scale": true])]),
  ]

  /// Slower copies have no windows, and packs no curriculum.
  @Sendable static func goTogether(_ row: [Int?]) -> Bool {
    !(row[0] == 3 && (row[1] ?? 0) > 0) && !(row[6] == 1 && (row[7] ?? 0) > 0)
  }

  static let pairs = Pairs(factors: factors, goTogether: goTogether)

  @Test func everyPairIsThere() {
    let rows = Self.pairs.rows
    #expect(Set(rows.flatMap(Self.pairs.pairs)) == Set(Self.pairs.all))
    #expect(rows.allSatisfy { Self.goTogether($0) })
    print(rows.map { "pairs: " + Self.pairs.name($0) }.joined(separator: "\n"))
  }

  @Test(arguments: pairs.rows) func oneAnswer(row: [Int]) throws {
    let changes = Self.pairs.keys(row).merging(["num_steps": 6, "eval_every": 3, "checkpoint_every": 2]) {
      own, _ in own
    }
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(changes)
    try run.train(
      ["--local-workers", "3", "--threads-per-worker", "1"],
      environment: ["NL_FAILPOINTS": "exit.upload@11", "NL_TOKEN_CACHE": "off"])
    #expect(try run.adapterHash() == reference.adapterHash(), "\(Self.pairs.name(row))")
    #expect(try run.stateDigest() == reference.stateDigest(), "\(Self.pairs.name(row))")
  }
}
