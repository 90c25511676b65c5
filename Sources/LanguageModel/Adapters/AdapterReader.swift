import Foundation
import JSON

/// Reads LoRA adapters in the form of mlx-lm or of PEFT.
public enum AdapterReader {
  /// Reads the adapter in `folder`: mlx-lm form if it holds `adapters.safetensors`, PEFT form if it holds
  /// `adapter_model.safetensors`.
  ///
  /// - Throws: ``ModelError`` if the adapter does not fit `model`, is incomplete or not finite, or asks for
  ///   something that is not plain LoRA on whole projections; the error names the key or tensor.
  public static func read(folder: String, model: ModelConfiguration) throws -> AdapterWeights {
    var adapter = try readPairs(folder: folder, model: model)
    if let files = try TaskHeadFiles(reading: folder, model: model) {
      (adapter.specification.heads, adapter.heads) = (files.heads, files.tensors)
      adapter.specification.learnsTaskWeights = files.learnsTaskWeights
    }
    if let files = try DomainFiles(reading: folder, model: model) {
      adapter.specification.domains = files.domains
      adapter.heads.merge(files.tensors) { $1 }
    }
    return adapter
  }

  private static func readPairs(folder: String, model: ModelConfiguration) throws -> AdapterWeights {
    let configFile = folder + "/" + AdapterForm.configName
    let mlxFile = folder + "/" + AdapterForm.mlxWeightsName
    let peftFile = folder + "/" + AdapterForm.peftWeightsName
    let manager = FileManager.default
    guard manager.fileExists(atPath: folder) else {
      throw ModelError(file: folder, "there is no such folder")
    }
    let reader = ConfigurationReader(json: try readJSON(path: configFile), file: configFile)
    // The form of mlx-lm has one rank and one scale, and pairs alone; beside it the same adapter may lie as it is.
    if manager.fileExists(atPath: mlxFile), try hasMoreThanPairs(folder + "/" + AdapterForm.peftFolder) {
      return try readPairs(folder: folder + "/" + AdapterForm.peftFolder, model: model)
    }
    if manager.fileExists(atPath: mlxFile),
      reader.value("lora_parameters") != nil || reader.value("peft_type") == nil
    {
      return try MLXAdapterReader(reader: reader, model: model).read(weights: mlxFile)
    }
    if manager.fileExists(atPath: peftFile) {
      return try PEFTAdapterReader(reader: reader, model: model).read(weights: peftFile)
    }
    throw ModelError(
      file: folder,
      "holds neither \(AdapterForm.mlxWeightsName) (mlx-lm) nor \(AdapterForm.peftWeightsName) (PEFT); adapters are "
        + "read in safetensors form alone")
  }

  private static func hasMoreThanPairs(_ folder: String) throws(ModelError) -> Bool {
    let file = folder + "/" + AdapterForm.configName
    guard FileManager.default.fileExists(atPath: file) else { return false }
    let config = try readJSON(path: file)
    return config["modules_to_save"]?.array?.isEmpty == false
      || ["rank_pattern", "alpha_pattern"].contains { config[$0]?.object?.members.isEmpty == false }
  }

  /// Takes the tensors of a specification out of a file, and fails unless the file holds these, `others` and no more.
  ///
  /// - Parameter stored: the name in the file of a tensor of the specification, and whether it lies there as
  ///   columns where ours lies as rows.
  static func tensors(
    _ specification: LoRASpecification, model: ModelConfiguration, file: SafetensorsFile,
    others: Set<String> = [], stored: (_ name: String) -> (name: String, transposed: Bool)
  ) throws(ModelError) -> [String: HostTensor] {
    var tensors: [String: HostTensor] = [:]
    var used = Set(others.map { String.UTF8Bytes($0) })
    for expected in specification.tensors(of: model) {
      let (name, transposed) = stored(expected.name)
      guard file.contains(name) else {
        throw ModelError(file: file.path, name: "tensor \(name)", "is missing")
      }
      let rank = expected.name.hasSuffix(".lora_a") ? expected.shape[0] : expected.shape.first ?? 0
      let values = try tensor(
        name, shape: transposed ? expected.shape.reversed() : expected.shape, rank: rank, file: file)
      tensors[expected.name] = transposed ? values.transposed() : values
      used.insert(.init(name))
    }
    if let stray = file.names.first(where: { !used.contains(.init($0)) }) {
      throw ModelError(file: file.path, name: "tensor \(stray)", "belongs to no adapted module of this model")
    }
    return tensors
  }

  /// - Parameter rank: what the shape follows from, beside the model; nil: from the model alone.
  static func tensor(
    _ name: String, shape: [Int], rank: Int?, file: SafetensorsFile
  ) throws(ModelError) -> HostTensor {
    let found = try file.tensor(name)
    guard found.shape == shape else {
      let reason = rank.map { "rank \($0) on this model" } ?? "this model"
      throw ModelError(
        file: file.path, name: "tensor \(name)", "has the shape \(found.shape), but \(reason) needs \(shape)")
    }
    let values = found.hostTensor()
    guard values.values.allSatisfy(\.isFinite) else {
      throw ModelError(file: file.path, name: "tensor \(name)", "holds numbers that are not finite")
    }
    return values
  }
}
