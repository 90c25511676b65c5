import Dispatch
import Files
import JSON
import Kernels
import Randomness

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
  ///   - dtype: how weights are stored: `f32`, `bf16` or `f16`.
  public static func create(
    config: String, output: String, tokenizer: String? = nil, seed: UInt64 = 42, dtype: String = "f32"
  ) throws {
    guard let type = WrittenType(rawValue: dtype) else {
      throw ModelError(
        file: output, name: "dtype", "\"\(dtype)\" is not supported; it must be \"f32\", \"bf16\" or \"f16\"")
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
    return normal(count: count, deviation: deviation, key: RandomKey(.freshModel, seed: seed, 0, index))
  }

  /// Normally distributed numbers, by the transform of Box and Muller (1958): with u in (0, 1] and v in [0, 1)
  /// uniform, √(−2 ln u)·cos 2πv and √(−2 ln u)·sin 2πv.
  ///
  /// Each pair of numbers depends on its place alone, so all processors make them.
  private static func normal(count: Int, deviation: Double, key: RandomKey) -> [Float] {
    let pairs = (count + 1) / 2
    return [Float](unsafeUninitializedCapacity: 2 * pairs) { values, used in
      nonisolated(unsafe) let values = values
      let piece = 1 << 15
      DispatchQueue.concurrentPerform(iterations: (pairs + piece - 1) / piece) { part in
        for pair in part * piece..<min(pairs, (part + 1) * piece) {
          let index = UInt64(2 * pair)
          let radius = (-2 * nl_log(1 - key.unit(index))).squareRoot() * deviation
          let angle = 2 * Double.pi * key.unit(index + 1)
          values[2 * pair] = Float(radius * nl_cos(angle))
          values[2 * pair + 1] = Float(radius * nl_sin(angle))
        }
      }
      used = count
    }
  }
}
