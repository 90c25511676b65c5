import Foundation
import Harness
import JSON
import Testing

/// `nl-tool tiers` and `presets`, and what is said of tiers that do not move.
@Suite(.serialized) struct TierToolTests {
  /// The map that a run then has: its ledger's plan, and the updates that its metrics count.
  @Test(
    arguments: [
      ["tier_assignment_strategy": "random", "tier_seed": 3, "tier_phase": [0, 1, 3]],
      [
        "tier_assignment_strategy": "module_type",
        "module_type_tiers": ["attention": 1, "mlp": 2, "down_proj": 0],
      ],
      ["tier_order": "deep_fast", "tier_phase": "staggered", "tier_update_frequencies": [2, 3, 4]],
    ] as [[String: JSONValue]])
  func theTableIsThatOfTheRun(changes: [String: JSONValue]) throws {
    let run = try TrainingRun(changes)
    let table = try JSONValue(
      parsing: Program.tool.run(["tiers", "--config", run.configPath, "--json"]).expectSuccess().output)
    try run.train()
    let plan = try JSONValue(parsing: sqlite(run.file("state.sqlite"), "SELECT plan FROM tier_plans"))
    let statistics = try #require(try run.metrics().last?["tier_stats"])
    let tiers = try #require(table["tiers"]?.array)
    #expect(tiers.count == 3)
    for (index, tier) in tiers.enumerated() {
      let recorded = try #require(plan["tiers"]?.array?[index])
      #expect(tier["period"] == recorded["frequency"] && tier["phase"] == recorded["phase"])
      let modules = Set((recorded["parameters"]?.array ?? []).compactMap(\.string).map { $0.dropLast(7) })
      #expect(Set((tier["modules"]?.array ?? []).compactMap(\.string).map { Substring($0) }) == modules)
      #expect(tier["updates"] == statistics["tier_update_counts"]?.array?[index])
      #expect(tier["parameters"] == statistics["tier_parameters"]?["tier_\(index)"]?["parameter_count"])
    }
    #expect(abs(tiers.reduce(0) { $0 + ($1["share"]?.double ?? 0) } - 1) < 1e-12)
    let text = try Program.tool.run(["tiers", "--config", run.configPath, "--modules"]).expectSuccess().output
    #expect(
      text.contains("Tier  Period  Phase  Updates") && text.contains("\n  model.layers.0.self_attn.q_proj\n"))
  }

  /// The header of train, status and the checkpoint's metadata say it, and the table without training.
  @Test func aTierThatDoesNotMoveIsToldEverywhere() throws {
    let run = try TrainingRun(["tier_update_frequencies": [1, 4, 16]])
    let warning = "tier 2 does not move: it is updated every 16 steps, which is beyond the run's 10 steps"
    let table = try Program.tool.run(["tiers", "--config", run.configPath]).expectSuccess().output
    #expect(table.contains("Warning: \(warning)"))
    let header = try run.train()
    #expect(header.errors.contains(warning), "\(header.errors)")
    let status = try Program.coord.run(["status", run.folder]).expectSuccess().output
    #expect(status.contains("Warning: \(warning)"))
    let metadata = try JSONValue(
      parsing: String(contentsOfFile: run.file("checkpoints/final/metadata.json"), encoding: .utf8))
    let lines = (metadata["warnings"]?.array ?? []).compactMap(\.string)
    #expect(lines.contains { $0.hasPrefix(warning) })
    #expect(lines.contains("tier 1 hardly moves: it is updated every 4 steps, 2 times in the run's 10 steps"))
    #expect(!lines.contains { $0.hasPrefix("tier 0") })
  }

  /// Each way to divide parameters, and each phase, comes to another adapter, and to the same one on any workers and after
  /// a stop.
  @Test func everyStrategyAndPhaseChangesTheAdapter() throws {
    let ways: [[String: JSONValue]] = [
      [:], ["tier_order": "deep_fast"], ["tier_assignment_strategy": "random"],
      ["tier_assignment_strategy": "random", "tier_seed": 8],
      ["tier_assignment_strategy": "module_type", "num_tiers": 2, "tier_update_frequencies": [1, 4]],
      ["tier_phase": "staggered"], ["tier_phase": [0, 1, 3]],
    ]
    var hashes = Set<String>()
    for way in ways {
      let run = try TrainingRun(way.merging(["inactive_gradients": "mean"]) { $1 })
      try run.train(["--threads-per-worker", "1"])
      let again = try TrainingRun(way.merging(["inactive_gradients": "mean"]) { $1 })
      try again.train(["--local-workers", "3", "--threads-per-worker", "1", "--shard-by", "tier"])
      #expect(try again.adapterHash() == run.adapterHash() && again.stateDigest() == run.stateDigest())
      hashes.insert(try run.adapterHash())
    }
    #expect(hashes.count == ways.count)
  }

  @Test func aPresetIsRecordedAndGivesWay() throws {
    let run = try TrainingRun(["preset": "large", "num_steps": 2, "batch_size": 2])
    try run.train(["--preset", "small", "--tier-phase", "0", "1"])
    let config = try JSONValue(parsing: String(contentsOfFile: run.file("config.json"), encoding: .utf8))
    #expect(config["preset"] == "small" && config["num_tiers"] == 2 && config["tier_phase"] == [0, 1])
    // The file's own values stay.
    #expect(config["max_seq_length"] == 32 && config["learning_rate"] == 0.01)
    let list = try Program.tool.run(["presets"]).expectSuccess().output
    #expect(
      list.contains(
        "large: models above 7 B parameters\n  num_tiers: 4, tier_update_frequencies: [1, 2, 4, 8]"))
  }
}
