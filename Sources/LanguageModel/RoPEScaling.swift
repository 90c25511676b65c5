import JSON

/// How the frequencies of RoPE are stretched for contexts beyond those of the first training.
public enum RoPEScaling: Sendable, Equatable {
  case none
  /// f → f / factor
  case linear(factor: Double)
  /// With wavelength λ = 2π/f: kept below original/highFrequencyFactor, divided by `factor` above
  /// original/lowFrequencyFactor, and in between (1−s)·f/factor + s·f with
  /// s = (original/λ − lowFrequencyFactor) / (highFrequencyFactor − lowFrequencyFactor).
  case llama3(
    factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalMaxPositions: Int)
}

/// θ and scaling, from either spelling of `config.json`.
struct RoPESettings {
  let theta: Double
  let scaling: RoPEScaling

  init(_ reader: ConfigurationReader) throws(ModelError) {
    if let merged = try reader.object("rope_parameters") {
      try Self.refusePartial(merged)
      guard merged.json.object?.members.contains(where: { $0.value.object != nil }) != true else {
        throw reader.fault("rope_parameters", "different settings for different layers are not supported")
      }
      if let value = try merged.positive("rope_theta") {
        theta = value
      } else {
        theta = try reader.positive("rope_theta") ?? 10000
      }
      scaling = try Self.scaling(merged)
    } else {
      theta = try reader.positive("rope_theta") ?? 10000
      let settings = try reader.object("rope_scaling")
      scaling = try settings.map { settings throws(ModelError) in try Self.scaling(settings) } ?? .none
    }
    try Self.refusePartial(reader)
  }

  private static func refusePartial(_ reader: ConfigurationReader) throws(ModelError) {
    if let factor = reader.value("partial_rotary_factor"), factor.double != 1 {
      throw reader.fault("partial_rotary_factor", "is \(factor.text); only 1 is supported")
    }
  }

  private static func scaling(_ reader: ConfigurationReader) throws(ModelError) -> RoPEScaling {
    let key = reader.value("rope_type") != nil ? "rope_type" : "type"
    switch try reader.string(key) ?? "default" {
    case "default": return .none
    case "linear": return .linear(factor: try reader.requiredPositive("factor"))
    case "llama3":
      let low = try reader.requiredPositive("low_freq_factor")
      let high = try reader.requiredPositive("high_freq_factor")
      guard low < high else {
        throw reader.fault("high_freq_factor", "must be above low_freq_factor (\(low))")
      }
      return .llama3(
        factor: try reader.requiredPositive("factor"), lowFrequencyFactor: low, highFrequencyFactor: high,
        originalMaxPositions: try reader.requiredCount("original_max_position_embeddings"))
    case let other:
      throw reader.fault(
        key, "\"\(other)\" is not supported; it must be \"default\", \"linear\" or \"llama3\"")
    }
  }
}

extension RoPEScaling {
  /// The value of `rope_scaling`.
  var json: JSONValue {
    switch self {
    case .none: nil
    case .linear(let factor): ["rope_type": "linear", "factor": .number(factor)]
    case .llama3(let factor, let low, let high, let original):
      [
        "rope_type": "llama3", "factor": .number(factor), "low_freq_factor": .number(low),
        "high_freq_factor": .number(high), "original_max_position_embeddings": .number(original),
      ]
    }
  }
}
