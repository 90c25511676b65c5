import JSON
import Kernels

/// θ and scaling out of all places of `config.json` where they can stand, as transformers 5 reads them: a `rope_scaling`
/// that is not empty takes the place of `rope_parameters`, and in the one that counts `rope_theta` comes before the
/// `rope_theta` beside it. Two places that say two things about the same setting are an error that names both.
struct RoPESettings {
  let theta: Double
  let scaling: RoPEScaling
  /// What the config gives and transformers does not use, in words.
  private(set) var remarks: [String] = []

  private static let standardTheta = 10000.0

  /// - Parameter layerTypes: the types of the layers that there are, as in `full_attention`; nil if the config has no
  ///   such list.
  init(
    _ reader: ConfigurationReader, maxPositions: Int, headDimension: Int, layerTypes: Set<String>?
  ) throws(ModelError) {
    try RoPEHome.refusePartial(reader)
    let limits = (
      maxPositions: maxPositions, pairs: headDimension / 2,
      original: try reader.count("original_max_position_embeddings")
    )
    func home(_ key: String) throws(ModelError) -> RoPEHome? {
      guard let part = try reader.object(key), part.json.object?.members.isEmpty == false else { return nil }
      return try RoPEHome(of: part, key: key, layerTypes: layerTypes, limits: limits)
    }
    let parameters = try home("rope_parameters")
    let older = try home("rope_scaling")
    let beside = try reader.positive("rope_theta")
    let places =
      [beside.map { ("rope_theta", $0) }]
      + [older, parameters].map { home in home?.theta.map { (home?.thetaKey ?? "", $0) } }
    let thetas = places.compactMap { $0 }
    if let first = thetas.first, let other = thetas.first(where: { $0.1 != first.1 }) {
      throw reader.fault(
        first.0,
        "is \(first.1), but \(other.0) is \(other.1); keep one of the two, or give both the same value")
    }
    if let older, let parameters, parameters.scaling != .none, parameters.scaling != older.scaling {
      throw reader.fault(
        "rope_scaling",
        "says \(older.text), but rope_parameters says \(parameters.text); keep one of the two")
    }
    let counting = older ?? parameters
    scaling = counting?.scaling ?? .none
    theta = counting?.theta ?? beside ?? Self.standardTheta
    if let older, older.theta == nil, beside == nil, let unused = parameters?.theta, unused != theta {
      remarks.append(
        "rope_theta \(unused) of rope_parameters is not used: rope_scaling takes the place of rope_parameters and has "
          + "no rope_theta, so it is \(theta), as in transformers; write rope_theta into rope_scaling to change that"
      )
    }
  }
}

/// `rope_parameters` or `rope_scaling`.
private struct RoPEHome {
  typealias Limits = (maxPositions: Int, pairs: Int, original: Int?)

  let theta: Double?
  let thetaKey: String
  let scaling: RoPEScaling
  /// The value in the file.
  let text: String

  /// Settings for each type of layer are read where all layers that there are have the same.
  init(of part: ConfigurationReader, key: String, layerTypes: Set<String>?, limits: Limits) throws(ModelError)
  {
    let nested = part.json.object?.members.filter { $0.value.object != nil }.map(\.key) ?? []
    guard !nested.isEmpty else {
      try self.init(part, key: key, limits: limits)
      return
    }
    let counting = nested.filter { layerTypes?.contains($0) ?? true }
    var first: RoPEHome?
    for name in counting {
      guard let inner = try part.object(name) else { continue }
      let home = try RoPEHome(inner, key: "\(key).\(name)", limits: limits)
      if let first, first.scaling != home.scaling || first.theta != home.theta {
        throw part.fault(
          name,
          "differs from \(key).\(counting[0]); different settings for different layers are not supported")
      }
      first = first ?? home
    }
    guard let first else {
      throw part.fault(nested[0], "is for a type of layer that this model does not have (layer_types)")
    }
    self = first
  }

  private init(_ part: ConfigurationReader, key: String, limits: Limits) throws(ModelError) {
    try Self.refusePartial(part)
    theta = try part.positive("rope_theta")
    thetaKey = "\(key).rope_theta"
    text = part.json.text
    scaling = try ScalingReader(part: part, limits: limits).read()
  }

  static func refusePartial(_ reader: ConfigurationReader) throws(ModelError) {
    if let factor = reader.value("partial_rotary_factor"), factor.double != 1 {
      throw reader.fault("partial_rotary_factor", "is \(factor.text); only 1 is supported")
    }
  }
}

/// Reads the scaling of one such object. Defaults are those of `modeling_rope_utils.py` of transformers 5.24.
private struct ScalingReader {
  let part: ConfigurationReader
  let limits: RoPEHome.Limits

  func read() throws(ModelError) -> RoPEScaling {
    let (key, type) = try type()
    switch type {
    case "default": return .none
    case "linear": return .linear(factor: try part.requiredPositive("factor"))
    case "dynamic": return .dynamic(factor: try part.requiredPositive("factor"))
    case "yarn": return .yarn(try yarn())
    // Its name in the first Phi-3.
    case "longrope", "su": return .longrope(try longrope())
    case "llama3": return try llama3()
    default:
      throw part.fault(
        key,
        "\"\(type)\" is not supported; it must be \"default\", \"linear\", \"dynamic\", \"yarn\", "
          + "\"longrope\" or \"llama3\"")
    }
  }

  private func type() throws(ModelError) -> (key: String, type: String) {
    let new = try part.string("rope_type")
    let old = try part.string("type")
    if let new, let old, new != old {
      throw part.fault("rope_type", "is \"\(new)\", but type is \"\(old)\"; keep one of the two")
    }
    return (new == nil ? "type" : "rope_type", new ?? old ?? "default")
  }

  private func originalMaxPositions() throws(ModelError) -> Int {
    let key = "original_max_position_embeddings"
    let own = try part.count(key)
    if let own, let beside = limits.original, own != beside {
      throw part.fault(key, "is \(own), but \(key) beside it is \(beside); keep one of the two")
    }
    return limits.original ?? own ?? limits.maxPositions
  }

  private func yarn() throws(ModelError) -> RoPEScaling.YaRN {
    let original = try originalMaxPositions()
    let factor = try part.positive("factor") ?? Double(limits.maxPositions) / Double(original)
    let mscale = try part.number("mscale")
    let allDim = try part.number("mscale_all_dim")
    func scale(_ mscale: Double) -> Double { factor <= 1 ? 1 : 0.1 * mscale * nl_log(factor) + 1 }
    var standard = scale(1)
    if let mscale, let allDim, mscale != 0, allDim != 0 { standard = scale(mscale) / scale(allDim) }
    func orStandard(_ key: String, _ standard: Double) throws(ModelError) -> Double {
      guard let value = try part.number(key), value != 0 else { return standard }
      return value
    }
    return RoPEScaling.YaRN(
      factor: factor, originalMaxPositions: original, betaFast: try orStandard("beta_fast", 32),
      betaSlow: try orStandard("beta_slow", 1), truncates: try part.bool("truncate", default: true),
      attentionFactor: try part.positive("attention_factor") ?? standard, mscale: mscale, mscaleAllDim: allDim
    )
  }

  private func longrope() throws(ModelError) -> RoPEScaling.LongRoPE {
    let original = try originalMaxPositions()
    let factor = try part.positive("factor") ?? Double(limits.maxPositions) / Double(original)
    let standard =
      factor <= 1 || original <= 1 ? 1 : (1 + nl_log(factor) / nl_log(Double(original))).squareRoot()
    return RoPEScaling.LongRoPE(
      shortFactors: try divisors("short_factor"), longFactors: try divisors("long_factor"),
      originalMaxPositions: original, attentionFactor: try part.positive("attention_factor") ?? standard)
  }

  private func divisors(_ key: String) throws(ModelError) -> [Double] {
    let values = part.value(key)?.array?.compactMap(\.double).filter { $0 > 0 && $0.isFinite } ?? []
    guard values.count == limits.pairs, part.value(key)?.array?.count == values.count else {
      throw part.fault(key, "must be a list of \(limits.pairs) numbers above 0, half of head_dim")
    }
    return values
  }

  private func llama3() throws(ModelError) -> RoPEScaling {
    let low = try part.requiredPositive("low_freq_factor")
    let high = try part.requiredPositive("high_freq_factor")
    guard low < high else { throw part.fault("high_freq_factor", "must be above low_freq_factor (\(low))") }
    return .llama3(
      factor: try part.requiredPositive("factor"), lowFrequencyFactor: low, highFrequencyFactor: high,
      originalMaxPositions: try originalMaxPositions())
  }
}
