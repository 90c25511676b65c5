import JSON
import Kernels
import LanguageModel

/// The metadata of a GGUF file that say what a model computes.
struct GGUFMetadataWriter {
  private(set) var entries: [(key: String, value: GGUFEntry)] = []
  private(set) var remarks: [String] = []

  init(model: ModelFolder) throws(ModelError) {
    let configuration = model.configuration
    let architecture = configuration.family.ggufArchitecture
    if configuration.family == .qwen3, configuration.queryKeyValueBias {
      throw ModelError(
        file: model.path, name: "attention_bias", "llama.cpp has no biases in qwen3's attention")
    }
    if configuration.slidingWindows.contains(where: { $0 != nil }) {
      remarks.append("the sliding window of some layers is left out: llama.cpp has none in \(architecture)")
    }
    entries = [
      ("general.architecture", .string(architecture)), ("general.type", .string("model")),
      ("general.name", .string(model.path.split(separator: "/").last.map(String.init) ?? "model")),
    ]
    func add(_ key: String, _ value: GGUFEntry) { entries.append(("\(architecture).\(key)", value)) }
    add("vocab_size", .uint32(configuration.vocabularySize))
    add("context_length", .uint32(configuration.maxPositions))
    add("embedding_length", .uint32(configuration.hiddenSize))
    add("block_count", .uint32(configuration.layerCount))
    add("feed_forward_length", .uint32(configuration.intermediateSize))
    add("attention.head_count", .uint32(configuration.headCount))
    add("attention.head_count_kv", .uint32(configuration.keyValueHeadCount))
    add("attention.key_length", .uint32(configuration.headDimension))
    add("attention.value_length", .uint32(configuration.headDimension))
    add("attention.layer_norm_rms_epsilon", .float32(Float(configuration.rmsNormEpsilon)))
    add("rope.dimension_count", .uint32(configuration.headDimension))
    add("rope.freq_base", .float32(Float(configuration.ropeTheta)))
    for (key, value) in try Self.scaling(configuration, file: model.path) {
      add("rope.scaling.\(key)", value)
    }
  }

  private static func scaling(
    _ configuration: ModelConfiguration, file: String
  ) throws(ModelError) -> [(String, GGUFEntry)] {
    switch configuration.ropeScaling {
    // That of Llama 3 is a tensor.
    case .none, .llama3: return []
    case .linear(let factor): return [("type", .string("linear")), ("factor", .float32(Float(factor)))]
    case .yarn(let yarn):
      guard yarn.truncates else {
        throw ModelError(file: file, name: "rope_scaling", "llama.cpp has no YaRN with truncate: false")
      }
      // What llama.cpp multiplies by itself is left out of its factor.
      let attention = yarn.attentionFactor / (1 + 0.1 * nl_log(yarn.factor))
      return [
        ("type", .string("yarn")), ("factor", .float32(Float(yarn.factor))),
        ("original_context_length", .uint32(yarn.originalMaxPositions)),
        ("yarn_beta_fast", .float32(Float(yarn.betaFast))),
        ("yarn_beta_slow", .float32(Float(yarn.betaSlow))),
        ("attn_factor", .float32(Float(attention))),
      ]
    case .longrope(let long):
      return [
        ("type", .string("longrope")), ("original_context_length", .uint32(long.originalMaxPositions)),
        ("attn_factor", .float32(Float(long.attentionFactor))),
      ]
    case .dynamic:
      throw ModelError(file: file, name: "rope_scaling", "llama.cpp has no dynamic scaling of RoPE")
    }
  }

  /// The divisors of RoPE's frequencies, where they are tensors.
  static func ropeItems(_ configuration: ModelConfiguration) -> [GGUFItem] {
    func item(_ name: String, _ values: [Double]) -> GGUFItem {
      let floats = values.map { Float($0) }
      return GGUFItem(name: name, shape: [floats.count], type: .f32) { write in
        try floats.withUnsafeBytes { try write($0) }
      }
    }
    switch configuration.ropeScaling {
    case .longrope(let long):
      return [item(GGUFNames.longFactors, long.longFactors), item(GGUFNames.shortFactors, long.shortFactors)]
    case .llama3(let factor, let low, let high, let original):
      let pairs = 0..<configuration.headDimension / 2
      return [
        item(
          GGUFNames.ropeFactors,
          pairs.map { pair in
            let exponent = Double(2 * pair) / Double(configuration.headDimension)
            let wavelength = 2 * Double.pi * nl_pow(configuration.ropeTheta, exponent)
            if wavelength < Double(original) / high { return 1 }
            if wavelength > Double(original) / low { return factor }
            let smooth = (Double(original) / wavelength - low) / (high - low)
            return 1 / ((1 - smooth) / factor + smooth)
          })
      ]
    case .none, .linear, .dynamic, .yarn: return []
    }
  }
}
