import Files
import Foundation
import JSON
import LanguageModel
import NestedLearning
import Service

/// A run that is made to be measured: config, data and, unless there is one, a model, in a folder of their own.
struct BenchmarkRun: Sendable {
  private static let name = "bench"
  /// Tokens of a row, which is a micro-batch.
  private static let rowTokens = 128

  let configFile: String
  /// Where the run will be.
  let runFolder: String
  let rank: Int
  /// Bytes of all parameters that are trained, as f32: those of a gradient of all tiers, too.
  let gradientBytes: Int

  /// - Parameters:
  ///   - folder: everything is written there.
  ///   - model: a base model's folder; nil for a small one.
  ///   - gradientBytes: what the gradients of all tiers together are to have, as nearly as a rank can be found for it.
  ///   - microBatches: of a step.
  ///   - periods: those of the tiers.
  init(
    folder: String, model: String?, gradientBytes wanted: Double, microBatches: Int, steps: Int,
    periods: [Int], inactiveGradients: InactiveGradients
  ) throws {
    let base = try model ?? Self.smallModel(in: folder)
    let bytesPerRank = try 4 * Self.parameters(ofRank: 1, model: base)
    rank = Int(min(max(1, (wanted / Double(bytesPerRank)).rounded()), 65_536))
    gradientBytes = rank * bytesPerRank
    configFile = folder + "/config.json"
    runFolder = "\(folder)/runs/\(Self.name)"
    try Self.writeRows(microBatches, to: folder + "/train.jsonl")
    try Self.writeRows(1, to: folder + "/valid.jsonl")
    let never: JSONValue = 1_000_000_000
    let config: JSONValue = [
      "base_model_path": .string(base), "lora_rank": .number(rank), "train_data_path": "train.jsonl",
      "val_data_path": "valid.jsonl", "max_seq_length": .number(Self.rowTokens), "batch_size": 1,
      "gradient_accumulation_steps": .number(microBatches), "num_tiers": .number(periods.count),
      "tier_update_frequencies": .numbers(periods), "inactive_gradients": .string(inactiveGradients.rawValue),
      "warmup_steps": 0, "verify_fraction": 0, "num_steps": .number(steps), "eval_every": never,
      "checkpoint_every": never, "early_stop": false, "output_path": "runs",
      "experiment_name": .string(Self.name),
    ]
    try AtomicFile.write(config.bytes(indent: 2), to: configFile)
  }

  private static func smallModel(in folder: String) throws -> String {
    try BenchmarkModel.write(to: folder + "/model")
    return folder + "/model"
  }

  /// Values of a LoRA adapter for all projections of all layers.
  private static func parameters(ofRank rank: Int, model: String) throws -> Int {
    let configuration = try ModelFolder(path: model).configuration
    let specification = LoRASpecification(
      rank: rank, alpha: 1, targetModules: NestedLearningConfig.allTargetModules,
      layers: Array(0..<configuration.layerCount))
    return specification.tensors(of: configuration).reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  /// A row has a byte, and so at least as many tokens of the small model, for each of `rowTokens`.
  private static func writeRows(_ count: Int, to path: String) throws {
    let words = (0..<rowTokens / 8).map { String(format: "%7d", $0 * 7919) }
    let row: JSONValue = ["text": .string(words.joined(separator: " "))]
    try AtomicFile.write(Array(repeatElement(row.bytes() + [0x0A], count: count).joined()), to: path)
  }

  /// The rows of the run's metrics, by step.
  func metrics() throws -> [Int: JSONValue] {
    let text = String(
      decoding: try AtomicFile.read(runFolder + "/metrics/train_metrics.jsonl"), as: UTF8.self)
    let rows = try text.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    return Dictionary(rows.compactMap { row in row["step"]?.int.map { ($0, row) } }, uniquingKeysWith: { $1 })
  }
}
