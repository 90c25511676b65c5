import Files
import JSON
import Kernels

/// Makes model folders with random weights, to be trained from nothing.
public enum ModelInitializer {
  /// Writes a model folder: a normalized `config.json`, `model.safetensors`, and the tokenizer files of another
  /// folder. It appears whole or not at all.
  ///
  /// Matrices are drawn from a normal distribution with mean 0 and standard deviation `initializer_range` (0.02
  /// unless the config says otherwise), norms are 1 and biases 0, as transformers starts its models. Every number
  /// depends on the seed, the tensor and its place alone.
  ///
  /// - Parameters:
  ///   - config: the path of a `config.json`.
  ///   - output: the folder to make; it must not be there yet.
  ///   - tokenizer: a folder with a `tokenizer.json`; nil: the folder of `config`, if it has one.
  ///   - dtype: how weights are stored: `f32` or `bf16`.
  public static func create(
    config: String, output: String, tokenizer: String? = nil, seed: UInt64 = 42, dtype: String = "f32"
  ) throws {
    guard let type = WrittenType(rawValue: dtype) else {
      throw ModelError(
        file: output, name: "dtype", "\"\(dtype)\" is not supported; it must be \"f32\" or \"bf16\"")
    }
    var configuration = try ModelConfiguration(json: try readJSON(path: config), file: config)
    configuration.dtype = type.stored.configName
    let tokenizer = tokenizer ?? folderWithTokenizer(beside: config)
    if let tokenizer {
      let size = try Tokenizer(modelFolder: tokenizer).vocabularySize
      guard size <= configuration.vocabularySize else {
        throw ModelError(
          file: config, name: "key \"vocab_size\"",
          "is \(configuration.vocabularySize), but the tokenizer in \(tokenizer) has \(size) tokens")
      }
    }
    guard FileSystem.kind(output) == nil else {
      throw ModelError(file: output, "is already there; remove it or choose another name")
    }
    try AtomicFolder.make(output) { folder in
      let items = configuration.tensors.enumerated().map { index, tensor in
        SafetensorsItem(name: tensor.name, shape: tensor.shape, as: type) {
          values(of: tensor, index: UInt64(index), deviation: configuration.initializerRange, seed: seed)
        }
      }
      try SafetensorsWriter.write(items, to: folder + "/" + WeightStore.singleName)
      try AtomicFile.write(configuration.json().bytes(indent: 2), to: folder + "/config.json")
      if let tokenizer { try ModelFolder.copyCompanions(from: tokenizer, to: folder) }
    }
  }

  private static func folderWithTokenizer(beside config: String) -> String? {
    let path = FileSystem.folder(of: config)
    return FileSystem.kind(path + "/tokenizer.json") == nil ? nil : path
  }

  private static func values(
    of tensor: ModelConfiguration.TensorShape, index: UInt64, deviation: Double, seed: UInt64
  ) -> [Float] {
    let count = tensor.shape.reduce(1, *)
    if tensor.name.hasSuffix("norm.weight") { return [Float](repeating: 1, count: count) }
    if tensor.name.hasSuffix(".bias") { return [Float](repeating: 0, count: count) }
    return normal(count: count, deviation: deviation, key: RandomKey.derive(.freshModel, seed: seed, index))
  }

  /// Normally distributed numbers, by the transform of Box and Muller (1958): with u in (0, 1] and v in [0, 1)
  /// uniform, √(−2 ln u)·cos 2πv and √(−2 ln u)·sin 2πv.
  private static func normal(count: Int, deviation: Double, key: UInt64) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(count + 1)
    var index = 0
    while values.count < count {
      let radius = (-2 * nl_log(1 - RandomKey.unit(key: key, index: index))).squareRoot() * deviation
      let angle = 2 * Double.pi * RandomKey.unit(key: key, index: index + 1)
      values.append(Float(radius * nl_cos(angle)))
      values.append(Float(radius * nl_sin(angle)))
      index += 2
    }
    values.removeLast(values.count - count)
    return values
  }
}
