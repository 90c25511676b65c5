import Foundation
import Harness
import JSON
import Testing

/// `nl-tool diff`.
@Suite(.serialized) struct DiffTests {
  /// The reference is numpy's (make_diff_golden.py): a training's result beside the adapter that it started from.
  @Test func driftIsThatOfNumPy() throws {
    let scratch = try Scratch()
    try Program.coord.run([
      "train", "--config", Fixtures.path("training/qwen2_module_map/config.json"), "--output-path",
      scratch.path("runs"),
      "--experiment-name", "a",
    ]).expectSuccess()
    let expected = try Fixtures.json("golden/diff.json")
    let folder = scratch.path("runs/a")
    let found = try JSONValue(parsing: Program.tool.run(["diff", folder, "--json"]).expectSuccess().output)
    try compare(found["total"], expected["total"])
    for kind in ["tiers", "modules"] {
      let (ours, theirs) = (try #require(found[kind]?.array), try #require(expected[kind]?.array))
      try #require(ours.count == theirs.count && !ours.isEmpty)
      for (row, reference) in zip(ours, theirs) { try compare(row, reference) }
    }
    // The same by the adapters' folders, one of them in PEFT's form; and nothing from itself.
    let adapter = Fixtures.path("adapters/qwen2_f32")
    let folders = [
      "diff", adapter, folder + "/checkpoints/final/peft", "--model", Fixtures.path("models/qwen2_f32"),
    ]
    let again = try JSONValue(parsing: Program.tool.run(folders + ["--json"]).expectSuccess().output)
    try compare(again["total"], expected["total"])
    #expect(again["tiers"] == [])
    let same = try JSONValue(
      parsing: Program.tool.run(["diff", folder, folder, "--json"]).expectSuccess().output)
    #expect(same["total"]?["drift"] == 0)
    #expect(try Program.tool.run(["diff", folder, "--modules"]).expectSuccess().output.contains("‖B − A‖"))
  }

  /// Of a whole model's training the reference is PyTorch's ‖θ − θ₀‖; the base model's folder is its start, too.
  @Test func driftOfAWholeModelIsThatOfPyTorch() throws {
    let scratch = try Scratch()
    try Program.coord.run([
      "train", "--config", Fixtures.path("training/llama_full_mean/config.json"), "--output-path",
      scratch.path("runs"), "--experiment-name", "full",
    ]).expectSuccess()
    let wanted = try #require(
      Fixtures.json("training/llama_full_mean/expected.json")["parameter_change"]?.double)
    let run = scratch.path("runs/full")
    for arguments in [[run], [Fixtures.path("models/llama"), run + "/checkpoints/final"]] {
      let found = try JSONValue(
        parsing: Program.tool.run(["diff", "--json"] + arguments).expectSuccess().output)
      let drift = try #require(found["total"]?["drift"]?.double)
      #expect(abs(drift - wanted) <= 1e-5 * wanted, "\(drift), PyTorch \(wanted)")
      #expect(found["total"]?["product_norm_b"] == .null && found["tiers"]?.array?.count == 3)
      let tiers = (found["tiers"]?.array ?? []).compactMap { $0["drift"]?.double }
      #expect(abs(tiers.reduce(0) { $0 + $1 * $1 } - drift * drift) <= 1e-12 * drift * drift)
    }
  }

  /// Two adapters of different ranks have no distance number by number, but their products do.
  @Test func ranksMayDiffer() throws {
    let (small, large) = (try TrainingRun(["lora_rank": 2]), try TrainingRun(["lora_rank": 5]))
    try small.train()
    try large.train()
    let found = try JSONValue(
      parsing: Program.tool.run(["diff", small.folder, large.folder, "--json"]).expectSuccess().output)
    let total = found["total"]
    #expect(total?["drift"] == .null && total?["relative_drift"] == .null)
    #expect((total?["product_drift"]?.double ?? 0) > 0)
    #expect((total?["effective_rank_a"]?.double ?? 9) <= 2 && (total?["effective_rank_b"]?.double ?? 0) > 2)
  }

  private func compare(_ row: JSONValue?, _ reference: JSONValue?) throws {
    for member in try #require(reference?.object).members {
      let found = try #require(row?[member.key], "\(member.key)")
      guard let wanted = member.value.double, member.key != "tier" else {
        #expect(found == member.value)
        continue
      }
      let value = try #require(found.double, "\(member.key)")
      #expect(abs(value - wanted) <= 1e-5 * abs(wanted), "\(member.key): \(value), numpy \(wanted)")
    }
  }

  @Test func whatCannotBeComparedIsNamed() throws {
    func errors(_ arguments: [String]) throws -> String {
      let result = try Program.tool.run(["diff"] + arguments)
      #expect(result.status != 0)
      return result.errors
    }
    let (model, adapter) = (Fixtures.path("models/qwen2_f32"), Fixtures.path("adapters/qwen2_f32"))
    #expect(try errors([model]).contains("is no run, and only a run can be compared with its own start"))
    #expect(try errors([adapter, adapter]).contains("give its folder as --model"))
    #expect(try errors([model, adapter, "--model", model]).contains("an adapter and a whole model"))
    #expect(
      try errors([adapter, Fixtures.path("adapters/qwen2_irregular"), "--model", model]).contains(
        "has the tensor model.layers.0.mlp.gate_proj.lora_a"))
    #expect(try errors(["/nonexistent", adapter]).contains("/nonexistent"))
  }

  /// What the metrics say of a tier's drift at its last update is what its parameters differ by from the start. A tier has a
  /// value at the steps that update it, and at no others; one that rests is computed nothing of.
  @Test(arguments: ["layers", "consolidate"]) func driftInTheMetrics(mode: String) throws {
    let run = try TrainingRun(["num_steps": 11, "tier_mode": .string(mode)])
    try run.train()
    let found = try JSONValue(
      parsing: Program.tool.run(["diff", run.folder, "--json"]).expectSuccess().output)
    let rows = try run.metrics()
    for tier in 0..<3 {
      let steps = rows.filter { $0["tier_drift"]?.array?[tier].double != nil }.compactMap { $0["step"]?.int }
      #expect(steps == (1...11).filter { $0 % [1, 2, 4][tier] == 0 })
    }
    let last = (0..<3).compactMap { tier in rows.compactMap { $0["tier_drift"]?.array?[tier].double }.last }
    // With copies the run comes to the slowest one, which followed last at step 8.
    let wanted =
      mode == "layers"
      ? (found["tiers"]?.array ?? []).compactMap { $0["drift"]?.double }
      : [nil, nil, found["total"]?["drift"]?.double]
    #expect(wanted.count == 3 && last.count == 3)
    for (drift, wanted) in zip(last, wanted) {
      guard let wanted else { continue }
      #expect(wanted > 0 && abs(drift - wanted) <= 1e-6 * wanted, "\(drift), nl-tool diff \(wanted)")
    }
  }
}
