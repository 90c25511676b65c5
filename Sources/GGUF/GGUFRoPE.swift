import JSON
import Kernels
import LanguageModel

/// What a GGUF file says of the scaling of RoPE: in its metadata, or as one divisor for each pair of channels in a tensor.
struct GGUFRoPE {
  let file: GGUFFile
  let architecture: String
  let theta: Double
  let dimension: Int
  let positions: Int

  private var metadata: GGUFMetadata { file.metadata }
  private func key(_ name: String) -> String { "\(architecture).rope.\(name)" }

  /// The value of `rope_scaling`.
  func json() throws(ModelError) -> JSONValue {
    let type = try metadata.string(key("scaling.type")) ?? "none"
    let older = try metadata.number(key("scale_linear"))
    let factor = try metadata.number(key("scaling.factor")) ?? older ?? 1
    if try hasLongFactors() { return try longrope() }
    let divisors = try divisors(GGUFNames.ropeFactors)
    let scales = type != "none" && factor != 1 && factor != 0
    if let divisors, divisors.contains(where: { $0 != 1 }) {
      guard !scales else {
        throw metadata.fault(
          key("scaling.type"),
          "is \"\(type)\", and there is \(GGUFNames.ropeFactors) too; only one can be right")
      }
      return try json(divisors: divisors)
    }
    guard factor > 0 else { throw metadata.fault(key("scaling.factor"), "must be above 0") }
    switch type {
    // A factor without a type is linear, as in llama.cpp.
    case "none" where metadata[key("scaling.type")] == nil && factor != 1, "linear" where scales:
      return ["rope_type": "linear", "factor": .number(factor)]
    case "none", "linear": return .null
    case "yarn": return factor == 1 ? .null : try yarn(factor: factor)
    default:
      throw metadata.fault(
        key("scaling.type"), "\"\(type)\" is not supported; it must be none, linear, yarn or longrope")
    }
  }

  private func original() throws(ModelError) -> Int {
    try metadata.count(key("scaling.original_context_length")) ?? positions
  }

  /// llama.cpp multiplies cosines and sines by attn_factor·(1 + 0.1·ln factor).
  private func yarn(factor: Double) throws(ModelError) -> JSONValue {
    if let share = try metadata.number(key("scaling.yarn_ext_factor")), share != 1, share != -1 {
      throw metadata.fault(key("scaling.yarn_ext_factor"), "is \(share); only 1 is supported")
    }
    if let log = try metadata.number(key("scaling.yarn_log_multiplier")), log != 0 {
      throw metadata.fault(key("scaling.yarn_log_multiplier"), "is \(log), which is not supported")
    }
    var object = JSONObject()
    object["rope_type"] = "yarn"
    object["factor"] = .number(factor)
    object["original_max_position_embeddings"] = .number(try original())
    if let fast = try metadata.number(key("scaling.yarn_beta_fast")) { object["beta_fast"] = .number(fast) }
    if let slow = try metadata.number(key("scaling.yarn_beta_slow")) { object["beta_slow"] = .number(slow) }
    if let attention = try metadata.number(key("scaling.attn_factor")), attention > 0, attention != 1 {
      object["attention_factor"] = .number(attention * (1 + 0.1 * nl_log(factor)))
    }
    return .object(object)
  }

  private func hasLongFactors() throws(ModelError) -> Bool {
    file.tensor(GGUFNames.longFactors) != nil && file.tensor(GGUFNames.shortFactors) != nil
  }

  private func longrope() throws(ModelError) -> JSONValue {
    let (short, long) = (try divisors(GGUFNames.shortFactors), try divisors(GGUFNames.longFactors))
    var object = JSONObject()
    object["rope_type"] = "longrope"
    object["short_factor"] = numbers(short ?? [])
    object["long_factor"] = numbers(long ?? [])
    object["original_max_position_embeddings"] = .number(try original())
    object["attention_factor"] = .number(try metadata.number(key("scaling.attn_factor")) ?? 1)
    return .object(object)
  }

  /// The tensor of divisors of that name; nil if there is none.
  private func divisors(_ name: String) throws(ModelError) -> [Float]? {
    guard let tensor = file.tensor(name) else { return nil }
    guard tensor.type == .f32, tensor.count == dimension / 2 else {
      throw ModelError(
        file: file.path, name: "tensor \(name)",
        "must be \(dimension / 2) 32-bit floats, half the dimension of a head")
    }
    let values = file.floats(of: tensor)
    guard values.allSatisfy({ $0 > 0 && $0.isFinite }) else {
      throw ModelError(file: file.path, name: "tensor \(name)", "holds a divisor that is not above 0")
    }
    return values
  }

  /// The rule of Llama 3 whose divisors these are, or the divisors themselves as LongRoPE with one list for all lengths,
  /// which is the same arithmetic.
  private func json(divisors: [Float]) throws(ModelError) -> JSONValue {
    if let rule = llama3(divisors) { return rule }
    return [
      "rope_type": "longrope", "short_factor": numbers(divisors), "long_factor": numbers(divisors),
      "original_max_position_embeddings": .number(positions), "attention_factor": 1,
    ]
  }

  private func numbers(_ values: [Float]) -> JSONValue {
    .array(values.map { .number(Double("\($0)") ?? Double($0)) })
  }

  /// Looks among the rules that models have (low 1, high 4, original positions a power of two, the largest divisor as the
  /// factor) for one that gives these divisors to 1e-6.
  private func llama3(_ divisors: [Float]) -> JSONValue? {
    let factor = Double(divisors.max() ?? 1)
    // 8192 first: where a head has few pairs, several fit.
    for shift in [13] + Array(5...20) {
      let original = Double(1 << shift)
      let fits = divisors.enumerated().allSatisfy { pair, divisor in
        let frequency = 1 / nl_pow(theta, Double(2 * pair) / Double(dimension))
        let wavelength = 2 * Double.pi / frequency
        let smooth = (original / wavelength - 1) / (4 - 1)
        let expected =
          wavelength < original / 4
          ? 1 : wavelength > original ? factor : 1 / ((1 - smooth) / factor + smooth)
        return abs(expected - Double(divisor)) <= 1e-6 * expected
      }
      if fits {
        return [
          "rope_type": "llama3", "factor": .number(factor), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": .number(Int(original)),
        ]
      }
    }
    return nil
  }
}
