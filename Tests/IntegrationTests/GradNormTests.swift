import Foundation
import Harness
import JSON
import Testing

/// What GradNorm is for (Chen et al. 2018): of two tasks whose losses are of very different scales the larger one does not
/// drown the other.
@Suite struct GradNormTests {
  private static let names = ["Anna", "Bertil", "Cora", "Daniel", "Ebba"]

  /// Two classifications of the same 30 texts: what they are of, and whom they name. Plain gradient descent, and heads that
  /// never learn, so that a task learns as fast as the layers that both share let it.
  private func run(_ changes: [String: JSONValue]) throws -> TrainingRun {
    let frozen: [JSONValue] = ["heads.topic*", "heads.who*"].map { ["pattern": .string($0), "tier": 1] }
    let common: [String: JSONValue] = [
      "train_data_path": "two.jsonl", "val_data_path": "two.jsonl", "batch_size": 3,
      "gradient_accumulation_steps": 4, "max_seq_length": 64, "warmup_steps": 0, "optimizer": "sgd",
      "learning_rate": 0.02, "max_grad_norm": nil, "num_steps": 100, "eval_every": 100,
      "num_tiers": 2, "tier_update_frequencies": [1, 100_000], "tier_assignment_strategy": "manual",
      "manual_tier_map": .array(frozen + [["pattern": "*", "tier": 0]]),
      "tasks": [
        ["name": "topic", "type": "classification", "labels": ["sea", "mill", "town"]],
        ["name": "who", "type": "classification", "labels": .strings(Self.names)],
      ], "tasks_schedule": "round_robin",
    ]
    let run = try TrainingRun(common.merging(changes) { $1 })
    if changes["adapter_path"] != nil {
      // The adapter says its rank itself.
      var config = run.config
      config["lora_rank"] = nil
      try run.scratch.write("config.json", JSONValue.object(config).text)
    }
    let topics = try rows(Fixtures.path("data/tasks.jsonl")).filter { $0["task"] == "topic" }
    let lines = topics.flatMap { row -> [JSONValue] in
      let text = row["text"]?.string ?? ""
      let name = String(text.split(separator: " ").first ?? "")
      return [row, ["task": "who", "text": .string(text), "label": .string(name)]]
    }
    #expect(lines.count == 60)
    try run.scratch.write("two.jsonl", lines.map { $0.text + "\n" }.joined())
    return run
  }

  /// An adapter that knows nothing yet, whose head for `who` gives scores six times as large as a fresh one's: a loss of 5.9
  /// where `topic` has 1.7, and gradients as much larger.
  private func start() throws -> TrainingRun {
    let start = try run(["num_steps": 1, "learning_rate": 1e-9])
    try start.train()
    let url = URL(fileURLWithPath: start.file("checkpoints/final/task_heads.safetensors"))
    var bytes = [UInt8](try Data(contentsOf: url))
    let length = bytes[0..<8].enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
    let header = try JSONValue(parsing: String(decoding: bytes[8..<8 + length], as: UTF8.self))
    let places = (header["heads.who.score.weight"]?["data_offsets"]?.array ?? []).compactMap(\.int)
    try #require(places.count == 2)
    for place in stride(from: 8 + length + places[0], to: 8 + length + places[1], by: 4) {
      let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << (8 * $1) }
      let scaled = (Float(bitPattern: bits) * 6).bitPattern
      for byte in 0..<4 { bytes[place + byte] = UInt8(truncatingIfNeeded: scaled >> (8 * byte)) }
    }
    try Data(bytes).write(to: url)
    return start
  }

  /// The mean over steps 41 to 100 of r_i = (L_i/L_i(0)) ÷ their mean; 1 where tasks learn equally fast.
  private func rates(_ run: TrainingRun) throws -> [Double] {
    let losses = try run.metrics().map { row in
      ["topic", "who"].map { row["tasks"]?[$0]?["loss"]?.double ?? .nan }
    }
    #expect(losses[0][1] > 3 * losses[0][0])
    var sums = [0.0, 0.0]
    for step in losses[40...] {
      let relative = zip(step, losses[0]).map { $0 / $1 }
      let mean = (relative[0] + relative[1]) / 2
      for task in 0..<2 { sums[task] += relative[task] / mean / Double(losses.count - 40) }
    }
    return sums
  }

  @Test func tasksLearnEquallyFast() throws {
    let start = try start()
    let from: [String: JSONValue] = ["adapter_path": .string(start.file("checkpoints/final"))]
    let equal = try run(from)
    try equal.train()
    let balanced = try run(
      from.merging(["tasks_weighting": "gradnorm", "tasks_weighting_rate": 0.1]) { $1 })
    try balanced.train()
    let (alone, together) = (try rates(equal), try rates(balanced))
    print("r_i: equal \(alone), gradnorm \(together)")
    // With equal weights the large task is done, and the small one has hardly begun.
    #expect(alone[1] < 0.1 && alone[0] > 1.9, "\(alone)")
    #expect(together.allSatisfy { (0.75...1.25).contains($0) }, "\(together)")
  }
}
