import Foundation
import Harness
import JSON
import LanguageModel
import Testing

/// Twelve steps of nested training by the real programs against PyTorch: one `torch.optim` optimizer per tier, with
/// `p.grad = None` on the steps at which the tier is inactive. The script is
/// Tests/LanguageModelTests/Fixtures/make_training_golden.py, for packing and the loss on completions make_data_golden.py,
/// for consolidating, rehearsal and other losses make_memory_golden.py, for what is measured before training, penalties and
/// the scale after it make_start_golden.py, for layers that learn from different steps on or with different rates and for
/// schedules make_adaptation_golden.py, for heads of tasks make_tasks_golden.py, for domains make_domains_golden.py;
/// the numbers lie beside them in `training/`.
@Suite(.serialized) struct GoldenTrainingTests {
  static let variants = [
    "qwen2_discard_shallow", "qwen2_discard_deep", "qwen2_mean_shallow", "qwen2_mean_deep",
    "qwen2_mean_uneven",
    "qwen2_sum_shallow", "qwen2_sum_deep", "qwen2_manual_sum", "qwen2_module_type",
    "qwen2_module_map", "qwen2_random", "qwen2_staggered_discard", "qwen2_staggered_mean", "qwen2_phases_sum",
    "qwen2_plain", "qwen2_sgd_decay",
    "qwen2_bf16_discard",
    "qwen2_irregular", "qwen2_saved", "qwen2_tokens", "qwen2_completions", "qwen2_packed", "qwen3_discard",
    "qwen2_consolidate", "qwen2_consolidate_reset", "qwen2_consolidate_follow", "qwen2_replay",
    "qwen2_replay_boundaries", "qwen2_replay_soft", "qwen2_kl_all", "qwen2_eaft", "qwen2_everything",
    "qwen2_importance", "qwen2_flow", "trained_stm", "qwen2_ewc", "qwen2_l2_sp", "qwen2_both", "qwen2_scaled",
    "qwen2_gradual", "qwen2_unfreeze_sum", "qwen2_freeze_mean", "qwen2_plateau", "qwen2_slanted",
    "qwen2_cosine_end",
    "qwen2_seq_cls", "qwen2_token_cls", "qwen2_tasks", "qwen2_tasks_uncertainty",
    "qwen2_tasks_gradnorm", "qwen2_adversary", "qwen2_adversary_tasks", "qwen2_domain_norms", "llama_discard",
    "mistral_discard", "llama_full_mean",
  ]

  @Test func everyVariantIsTested() throws {
    let found = try FileManager.default.contentsOfDirectory(atPath: Fixtures.path("training"))
    #expect(found.sorted() == Self.variants.sorted())
  }

  @Test(arguments: variants) func matchesPyTorch(variant: String) throws {
    let scratch = try Scratch()
    let folder = Fixtures.path("training/\(variant)")
    let result = try Program.coord.run([
      "train", "--config", folder + "/config.json", "--output-path", scratch.path("runs"), "--local-workers",
      "2",
      "--threads-per-worker", "1",
    ])
    try #require(result.status == 0, "\(result.everything)")
    let run = scratch.path("runs/\(variant)")
    let expected = try Fixtures.json("training/\(variant)/expected.json")
    try compareSteps(try rows(run + "/metrics/train_metrics.jsonl"), try #require(expected["steps"]?.array))
    try compareEvaluations(try rows(run + "/metrics/eval_metrics.jsonl"), expected)
    try compareParameters(run: run, folder: folder)
    try compareScales(run: run, expected)
  }

  /// `select_scale`: the losses of the scales that were tried, and which is the smallest that holds.
  func compareScales(run: String, _ expected: JSONValue) throws {
    guard let reference = expected["select_scale"] else { return }
    let metadata = try JSONValue(
      parsing: Data(contentsOf: URL(fileURLWithPath: run + "/checkpoints/scaled/metadata.json")))
    let selected = try #require(metadata["select_scale"])
    #expect(selected["scale"]?.double == reference["scale"]?.double)
    let (ours, theirs) = (selected["curve"]?.array ?? [], reference["curve"]?.array ?? [])
    try #require(ours.count == theirs.count)
    for (trial, wanted) in zip(ours, theirs) {
      #expect(trial["scale"] == wanted["scale"] && trial["holds"] == wanted["holds"])
      try close(trial, wanted, "loss", 1e-5, 12)
    }
  }

  func compareSteps(_ rows: [JSONValue], _ expected: [JSONValue]) throws {
    try #require(rows.count == expected.count)
    for (row, reference) in zip(rows, expected) {
      let step = try #require(reference["step"]?.int)
      #expect(row["step"]?.int == step)
      #expect(row["tokens"]?.int == reference["tokens"]?.int, "tokens of step \(step)")
      #expect(row["active_tiers"] == reference["active_tiers"], "active tiers of step \(step)")
      if reference["loss"]?.isNull != true { try close(row, reference, "loss", 1e-5, step) }
      if reference["weight_penalty"] != nil, step > 1 {
        try close(row, reference, "weight_penalty", 1e-4, step)
      }
      for key in ["replay_loss", "objective", "kl_to_base"] where reference[key]?.double != nil {
        try close(row, reference, key, 1e-5, step)
      }
      for (key, tolerance) in [("domain_loss", 1e-5), ("domain_accuracy", 1e-9), ("adversary_lambda", 1e-9)]
      where reference[key] != nil {
        try close(row, reference, key, tolerance, step)
      }
      #expect(
        row["replay_tokens"]?.int == reference["replay_tokens"]?.int, "rehearsed tokens of step \(step)")
      try close(row, reference, "learning_rate", 1e-12, step)
      try close(row, reference, "grad_norm", 1e-4, step)
      for task in reference["tasks"]?.object?.members ?? [] {
        let own = try #require(row["tasks"]?[task.key], "task \(task.key) of step \(step)")
        #expect(own["labels"] == task.value["labels"], "labels of \(task.key) at step \(step)")
        if task.value["loss"]?.isNull == false { try close(own, task.value, "loss", 1e-5, step) }
      }
    }
  }

  func close(_ row: JSONValue, _ reference: JSONValue, _ key: String, _ tolerance: Double, _ step: Int) throws
  {
    let value = try #require(row[key]?.double, "\(key) of step \(step)")
    let wanted = try #require(reference[key]?.double)
    #expect(
      abs(value - wanted) <= tolerance * abs(wanted), "\(key) of step \(step): \(value), PyTorch \(wanted)")
  }

  func compareEvaluations(_ rows: [JSONValue], _ expected: JSONValue) throws {
    let references = try #require(expected["evaluations"]?.array)
    try #require(rows.count == references.count)
    for (row, reference) in zip(rows, references) {
      #expect(row["step"]?.int == reference["step"]?.int)
      try close(row, reference, "loss", 1e-5, reference["step"]?.int ?? 0)
    }
  }

  /// ‖Δ‖/‖reference‖ ≤ 1e-4, of all tensors together and of each.
  func compareParameters(run: String, folder: String) throws {
    let full = FileManager.default.fileExists(atPath: folder + "/model.safetensors")
    let name = full ? "model.safetensors" : "adapter_model.safetensors"
    try compare(run + "/checkpoints/final/" + (full ? name : "peft/" + name), with: folder + "/" + name)
    for file in ["/task_heads.safetensors", "/domains.safetensors"]
    where FileManager.default.fileExists(atPath: folder + file) {
      try compare(run + "/checkpoints/final" + file, with: folder + file)
    }
  }

  func compare(_ file: String, with expected: String) throws {
    let ours = try SafetensorsFile(path: file)
    let reference = try SafetensorsFile(path: expected)
    #expect(ours.names == reference.names)
    var difference = 0.0
    var size = 0.0
    for tensor in reference.names {
      let a = try ours.tensor(tensor).hostTensor()
      let b = try reference.tensor(tensor).hostTensor()
      try #require(a.shape == b.shape, "\(tensor)")
      let d = zip(a.values, b.values).reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
      let s = b.values.reduce(0.0) { $0 + Double($1) * Double($1) }
      #expect(d.squareRoot() <= 1e-4 * s.squareRoot(), "\(tensor): \((d / s).squareRoot())")
      difference += d
      size += s
    }
    #expect((difference / size).squareRoot() <= 1e-4)
  }
}
