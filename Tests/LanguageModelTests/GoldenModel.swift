import Foundation
import JSON
import LanguageModel
import Tensors
import Testing

/// One of the models under Fixtures with what PyTorch computes on it; Fixtures/README.md says how it was made.
struct GoldenModel: CustomTestStringConvertible {
  let name: String
  let folder: ModelFolder
  let rows: [[Int32]]
  let lossSum: Double
  let baseLossSum: Double
  private let tensors: SafetensorsFile

  static let names = ["qwen2_f32", "qwen2_bf16", "qwen3", "llama", "mistral"]

  init(_ name: String) throws {
    self.name = name
    folder = try ModelFolder(path: fixture("models/\(name)"))
    let json = try Self.json(fixture("golden/\(name).json"))
    rows = try #require(json["rows"]?.array).map {
      try #require($0.array).compactMap { $0.int.map(Int32.init) }
    }
    lossSum = try #require(json["loss_sum_float64"]?.double)
    baseLossSum = try #require(json["base_loss_sum_float64"]?.double)
    tensors = try SafetensorsFile(path: fixture("golden/\(name).safetensors"))
  }

  var testDescription: String { name }
  var batch: MicroBatch { MicroBatch(rows: rows) }

  func tensor(_ name: String) throws -> HostTensor { try tensors.tensor(name).hostTensor() }

  /// The gradient of every LoRA tensor, under this project's names and shapes.
  func loraGradients() throws -> [String: HostTensor] {
    try Self.lora(from: tensors, prefix: "grad.")
  }

  /// The gradient of every weight, without an adapter.
  func weightGradients() throws -> [String: HostTensor] {
    let file = try SafetensorsFile(path: fixture("golden/\(name)_full.safetensors"))
    let pairs = try file.names.map { (String($0.dropFirst("grad.".count)), try file.tensor($0).hostTensor()) }
    return Dictionary(uniqueKeysWithValues: pairs)
  }

  func loraSpecification(dropout: Float = 0) throws -> LoRASpecification {
    let json = try Self.json(fixture("adapters/\(name)/adapter_config.json"))
    return LoRASpecification(
      rank: try #require(json["r"]?.int), alpha: try #require(json["lora_alpha"]?.double),
      useRSLoRA: json["use_rslora"]?.bool ?? false, dropout: dropout,
      targetModules: try #require(json["target_modules"]?.array).compactMap(\.string),
      layers: Array(0..<folder.configuration.layerCount))
  }

  /// The model with its adapter in place.
  func model(
    threads: Int = 2, dropout: Float = 0, precision: Precision = .f32, recomputesLayers: Bool = false
  ) throws -> TrainableModel {
    let model = try TrainableModel(
      folder: folder, trainable: .lora(try loraSpecification(dropout: dropout)),
      pool: ThreadPool(threads: threads), precision: precision, recomputesLayers: recomputesLayers)
    let adapter = try Self.lora(
      from: SafetensorsFile(path: fixture("adapters/\(name)/adapter_model.safetensors")), prefix: "")
    for (name, tensor) in adapter {
      try tensor.values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
    return model
  }

  func fullModel(threads: Int = 2) throws -> TrainableModel {
    try TrainableModel(folder: folder, trainable: .full, pool: ThreadPool(threads: threads))
  }

  /// PEFT's `base_model.model.M.lora_A.weight` [r, in] and `….lora_B.weight` [out, r] as `M.lora_a` [r, in] and
  /// `M.lora_b` [r, out].
  static func lora(from file: SafetensorsFile, prefix: String) throws -> [String: HostTensor] {
    var tensors: [String: HostTensor] = [:]
    let start = prefix + "base_model.model."
    for name in file.names where name.hasPrefix(start) {
      let module = name.dropFirst(start.count).dropLast(".lora_A.weight".count)
      let tensor = try file.tensor(name).hostTensor()
      if name.hasSuffix(".lora_A.weight") {
        tensors["\(module).lora_a"] = tensor
      } else {
        tensors["\(module).lora_b"] = tensor.transposed()
      }
    }
    return tensors
  }

  static func json(_ path: String) throws -> JSONValue {
    try JSONValue(parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: path))))
  }
}

/// ‖a − b‖/‖b‖ in Double.
func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  let difference = zip(a, b).reduce(0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
  return (difference / b.reduce(0) { $0 + Double($1) * Double($1) }).squareRoot()
}

/// max |a − b|
func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
}
