import JSON

/// How the frequencies of RoPE are stretched for contexts beyond those of the first training.
public enum RoPEScaling: Sendable, Equatable {
  case none
  /// f → f / factor
  case linear(factor: Double)
  /// For a text of n tokens, more than the model's positions P: θ becomes
  /// θ·(factor·n/P − (factor − 1))^(dim/(dim − 2)). Shorter texts are not scaled.
  case dynamic(factor: Double)
  case yarn(YaRN)
  case longrope(LongRoPE)
  /// With wavelength λ = 2π/f: kept below original/highFrequencyFactor, divided by `factor` above
  /// original/lowFrequencyFactor, and in between (1−s)·f/factor + s·f with
  /// s = (original/λ − lowFrequencyFactor) / (highFrequencyFactor − lowFrequencyFactor).
  case llama3(
    factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalMaxPositions: Int)

  /// YaRN (arXiv 2309.00071): fast channels are kept, slow ones divided by `factor`, with a linear ramp between the
  /// channels that turn `betaFast` and `betaSlow` times in `originalMaxPositions`.
  public struct YaRN: Sendable, Equatable {
    public var factor: Double
    public var originalMaxPositions: Int
    public var betaFast = 32.0
    public var betaSlow = 1.0
    /// Whether the ends of the ramp are whole channels.
    public var truncates = true
    /// What cosines and sines are multiplied by.
    public var attentionFactor: Double
    /// As the config has them; `attentionFactor` counts them in.
    public var mscale: Double?
    public var mscaleAllDim: Double?
  }

  /// LongRoPE (arXiv 2402.13753): each channel has a divisor of its own, one for texts of up to
  /// `originalMaxPositions` tokens and another for longer ones.
  public struct LongRoPE: Sendable, Equatable {
    /// dim/2 each.
    public var shortFactors: [Double]
    public var longFactors: [Double]
    public var originalMaxPositions: Int
    /// What cosines and sines are multiplied by.
    public var attentionFactor: Double
  }

  /// What cosines and sines are multiplied by.
  var attentionFactor: Double {
    switch self {
    case .yarn(let yarn): yarn.attentionFactor
    case .longrope(let long): long.attentionFactor
    case .none, .linear, .dynamic, .llama3: 1
    }
  }
}

extension RoPEScaling {
  /// `rope_type`
  var type: String {
    switch self {
    case .none: "default"
    case .linear: "linear"
    case .dynamic: "dynamic"
    case .yarn: "yarn"
    case .longrope: "longrope"
    case .llama3: "llama3"
    }
  }

  /// The value of `rope_scaling`.
  var json: JSONValue {
    switch self {
    case .none: return nil
    case .linear(let factor): return ["rope_type": "linear", "factor": .number(factor)]
    case .dynamic(let factor): return ["rope_type": "dynamic", "factor": .number(factor)]
    case .yarn(let yarn):
      var object = JSONObject()
      object["rope_type"] = "yarn"
      object["factor"] = .number(yarn.factor)
      object["original_max_position_embeddings"] = .number(yarn.originalMaxPositions)
      object["beta_fast"] = .number(yarn.betaFast)
      object["beta_slow"] = .number(yarn.betaSlow)
      object["attention_factor"] = .number(yarn.attentionFactor)
      if let mscale = yarn.mscale { object["mscale"] = .number(mscale) }
      if let mscale = yarn.mscaleAllDim { object["mscale_all_dim"] = .number(mscale) }
      if !yarn.truncates { object["truncate"] = false }
      return .object(object)
    case .longrope(let long):
      return [
        "rope_type": "longrope", "short_factor": .numbers(long.shortFactors),
        "long_factor": .numbers(long.longFactors),
        "original_max_position_embeddings": .number(long.originalMaxPositions),
        "attention_factor": .number(long.attentionFactor),
      ]
    case .llama3(let factor, let low, let high, let original):
      return [
        "rope_type": "llama3", "factor": .number(factor), "low_freq_factor": .number(low),
        "high_freq_factor": .number(high), "original_max_position_embeddings": .number(original),
      ]
    }
  }
}
