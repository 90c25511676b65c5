import Harness
import JSON
import Testing

/// Options that touch each other, by pairs: any two values that go together are in one of these runs, and each run comes to
/// the same bits with one worker as with three of which one is killed.
@Suite struct PairwiseTests {
  struct Factor: Sendable {
    let name: String
    /// By name, the keys of a value.
    let values: [(name: String, keys: [String: JSONValue])]
  }

  static let replay = JSONValue.string(Fixtures.path("data/replay.jsonl"))

  static let factors = [
    Factor(
      name: "tiers",
      values: [
        ("depth", [:]),
        ("importance", ["tier_assignment_strategy": "parameter_importance", "importance_steps": 3]),
        ("staggered", ["tier_phase": "staggered", "tier_order": "deep_fast"]),
        (
          "consolidate", ["tier_mode": "consolidate", "tier_update_frequencies": [1, 2, 4], "anchor": 0.1]
        ),
      ]),
    Factor(
      name: "gradients",
      values: [
        ("discard", [:]), ("mean", ["inactive_gradients": "mean", "flush_every": 2]),
        ("sum", ["inactive_gradients": "sum", "tier_lr_scale": "inverse_frequency"]),
      ]),
    Factor(
      name: "replay",
      values: [
        ("none", [:]), ("data", ["replay_data_path": replay, "replay_fraction": 0.3]),
        (
          "self",
          ["replay": "self", "self_replay_samples": 8, "self_replay_tokens": 8, "replay_targets": "soft"]
        ),
        ("boundaries", ["replay_data_path": replay, "replay_fraction": 0.5, "replay_at": "boundaries"]),
      ]),
    Factor(name: "loss", values: [("ce", [:]), ("eaft", ["loss": "eaft"]), ("flow", ["loss": "flow"])]),
    Factor(
      name: "held",
      values: [
        ("no", [:]), ("kl", ["kl_to_base": 0.3, "kl_on": "all"]),
        ("ewc", ["ewc_lambda": 3, "ewc_data_path": replay, "ewc_rows": 4]), ("l2", ["l2_sp_lambda": 0.2]),
      ]),
    Factor(name: "dropout", values: [("0", [:]), (".1", ["lora_dropout": 0.1])]),
    Factor(name: "rows", values: [("single", [:]), ("packed", ["packing": true, "max_seq_length": 48])]),
    Factor(
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
    Factor(name: "end", values: [("whole", [:]), ("scaled", ["select_scale": true])]),
  ]

  /// Slower copies have no windows, and packs no curriculum.
  static func goTogether(_ row: [Int?]) -> Bool {
    !(row[0] == 3 && (row[1] ?? 0) > 0) && !(row[6] == 1 && (row[7] ?? 0) > 0)
  }

  /// Rows with a value of each factor that have every pair of values that go together: each takes what adds most new pairs.
  static let rows: [[Int]] = {
    var missing = Set(pairs)
    var rows: [[Int]] = []
    while let first = missing.min() {
      var row = [Int?](repeating: nil, count: factors.count)
      (row[first.a], row[first.b]) = (first.valueA, first.valueB)
      for factor in factors.indices where row[factor] == nil {
        func gain(_ value: Int) -> Int {
          row.indices.count { other in
            row[other].map { missing.contains(Pair(factor, value, other, $0)) } ?? false
          }
        }
        let possible = factors[factor].values.indices.filter { value in
          var tried = row
          tried[factor] = value
          return goTogether(tried)
        }
        row[factor] = possible.max { (gain($0), -$0) < (gain($1), -$1) }
      }
      let whole = row.map { $0 ?? 0 }
      rows.append(whole)
      missing.subtract(Self.pairs(of: whole))
    }
    return rows
  }()

  struct Pair: Hashable, Comparable {
    let a, valueA, b, valueB: Int

    init(_ a: Int, _ valueA: Int, _ b: Int, _ valueB: Int) {
      (self.a, self.valueA, self.b, self.valueB) = a < b ? (a, valueA, b, valueB) : (b, valueB, a, valueA)
    }

    static func < (left: Pair, right: Pair) -> Bool {
      (left.a, left.b, left.valueA, left.valueB) < (right.a, right.b, right.valueA, right.valueB)
    }
  }

  static func pairs(of row: [Int]) -> [Pair] {
    row.indices.flatMap { a in row.indices.filter { $0 > a }.map { Pair(a, row[a], $0, row[$0]) } }
  }

  /// All that go together.
  static var pairs: [Pair] {
    factors.indices.flatMap { a in
      factors.indices.filter { $0 > a }.flatMap { b in
        factors[a].values.indices.flatMap { valueA in
          factors[b].values.indices.map { Pair(a, valueA, b, $0) }
        }
      }
    }.filter { pair in
      var row = [Int?](repeating: nil, count: factors.count)
      (row[pair.a], row[pair.b]) = (pair.valueA, pair.valueB)
      return goTogether(row)
    }
  }

  static func name(_ row: [Int]) -> String {
    zip(factors, row).map { "\($0.name) \($0.values[$1].name)" }.joined(separator: ", ")
  }

  @Test func everyPairIsThere() {
    #expect(Set(Self.rows.flatMap(Self.pairs)) == Set(Self.pairs))
    #expect(Self.rows.allSatisfy { Self.goTogether($0) })
    print(Self.rows.map { "pairs: " + Self.name($0) }.joined(separator: "\n"))
  }

  @Test(arguments: rows) func oneAnswer(row: [Int]) throws {
    var changes: [String: JSONValue] = ["num_steps": 6, "eval_every": 3, "checkpoint_every": 2]
    for (factor, value) in zip(Self.factors, row) { changes.merge(factor.values[value].keys) { $1 } }
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let run = try TrainingRun(changes)
    try run.train(
      ["--local-workers", "3", "--threads-per-worker", "1"],
      environment: ["NL_FAILPOINTS": "exit.upload@7", "NL_TOKEN_CACHE": "off"])
    #expect(try run.adapterHash() == reference.adapterHash(), "\(Self.name(row))")
    #expect(try run.stateDigest() == reference.stateDigest(), "\(Self.name(row))")
  }
}
