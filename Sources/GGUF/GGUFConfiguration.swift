import JSON
import LanguageModel

/// The `config.json` that a GGUF file's metadata and tensors amount to.
struct GGUFConfiguration {
  let file: GGUFFile
  private let metadata: GGUFMetadata
  /// `general.architecture`, the beginning of the other keys.
  let architecture: String
  /// What the file says and the folder does not, in words.
  private(set) var remarks: [String] = []

  private static let architectures = ["llama", "qwen2", "qwen3"]

  init(file: GGUFFile) throws(ModelError) {
    self.file = file
    metadata = file.metadata
    guard let name = try metadata.string("general.architecture") else {
      throw metadata.fault("general.architecture", "is missing")
    }
    architecture = name
    if let type = try metadata.string("general.type"), type != "model" {
      throw metadata.fault("general.type", "is \"\(type)\"; a \"model\" can be imported")
    }
    guard Self.architectures.contains(name) else {
      let known = Self.architectures.joined(separator: ", ")
      throw metadata.fault("general.architecture", "\"\(name)\" is not supported; these are: \(known)")
    }
    try refuseUnsupported()
  }

  private func key(_ name: String) -> String { "\(architecture).\(name)" }

  /// Names whatever would change the arithmetic and is not built.
  private func refuseUnsupported() throws(ModelError) {
    if let experts = try metadata.count(key("expert_count")), experts > 0 {
      throw metadata.fault(key("expert_count"), "is \(experts); mixtures of experts are not supported")
    }
    if try metadata.bool(key("attention.causal")) == false {
      throw metadata.fault(key("attention.causal"), "is false; only causal models are supported")
    }
    for name in [
      "attention.scale", "logit_scale", "residual_scale", "embedding_scale", "attention.clamp_kqv",
    ] {
      guard let scale = try metadata.number(key(name)), scale != 0,
        name == "attention.clamp_kqv" || scale != 1
      else { continue }
      if name == "attention.scale", scale == 1 / Double(try headDimension()).squareRoot() { continue }
      throw metadata.fault(key(name), "is \(scale), which is not supported")
    }
  }

  private func headCount() throws(ModelError) -> Int {
    let count = try metadata.requiredCount(key("attention.head_count"))
    guard count > 0 else { throw metadata.fault(key("attention.head_count"), "must not be 0") }
    return count
  }

  private func headDimension() throws(ModelError) -> Int {
    let width = try metadata.requiredCount(key("embedding_length"))
    let heads = try headCount()
    let dimension = try metadata.count(key("attention.key_length")) ?? width / heads
    if let values = try metadata.count(key("attention.value_length")), values != dimension {
      throw metadata.fault(
        key("attention.value_length"), "is \(values), but keys have the length \(dimension); not supported")
    }
    if let turned = try metadata.count(key("rope.dimension_count")), turned != dimension {
      throw metadata.fault(
        key("rope.dimension_count"),
        "is \(turned) of \(dimension) dimensions of a head; RoPE on part of a head is not supported")
    }
    return dimension
  }

  /// - Parameter dtype: as in `float32`.
  mutating func configuration(dtype: String) throws(ModelError) -> ModelConfiguration {
    guard let embedding = file.tensor(GGUFNames.embedding), embedding.shape.count == 2 else {
      throw ModelError(
        file: file.path, name: "tensor \(GGUFNames.embedding)", "is missing, or is not a matrix")
    }
    let heads = try headCount()
    let positions = try metadata.requiredCount(key("context_length"))
    let theta = try metadata.number(key("rope.freq_base")) ?? 10000
    let dimension = try headDimension()
    var object = JSONObject()
    object["model_type"] = .string(architecture)
    object["vocab_size"] = .number(embedding.shape[0])
    object["hidden_size"] = .number(try metadata.requiredCount(key("embedding_length")))
    object["intermediate_size"] = .number(try metadata.requiredCount(key("feed_forward_length")))
    let layers = try metadata.requiredCount(key("block_count"))
    guard layers <= file.tensors.count else {
      throw metadata.fault(
        key("block_count"), "is \(layers), but there are \(file.tensors.count) tensors in all")
    }
    object["num_hidden_layers"] = .number(layers)
    object["num_attention_heads"] = .number(heads)
    object["num_key_value_heads"] = .number(try metadata.count(key("attention.head_count_kv")) ?? heads)
    object["head_dim"] = .number(dimension)
    object["hidden_act"] = "silu"
    guard let epsilon = try metadata.number(key("attention.layer_norm_rms_epsilon")) else {
      throw metadata.fault(key("attention.layer_norm_rms_epsilon"), "is missing")
    }
    object["rms_norm_eps"] = .number(epsilon)
    object["rope_theta"] = .number(theta)
    object["rope_scaling"] = try GGUFRoPE(
      file: file, architecture: architecture, theta: theta, dimension: dimension, positions: positions
    ).json()
    object["max_position_embeddings"] = .number(positions)
    object["tie_word_embeddings"] = .bool(file.tensor(GGUFNames.head) == nil)
    object["attention_bias"] = .bool(
      hasTensor(["attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias"]))
    object["mlp_bias"] = .bool(hasTensor(["ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"]))
    if architecture != "llama" { object["use_sliding_window"] = false }
    try addTokens(to: &object)
    object["torch_dtype"] = .string(dtype)
    if let window = try metadata.count(key("attention.sliding_window")), window > 0, window < positions {
      remarks.append(
        "\(key("attention.sliding_window")) is \(window); it is left out, as llama.cpp does for \(architecture)"
      )
    }
    return try ModelConfiguration(json: .object(object), file: file.path)
  }

  /// In any layer.
  private func hasTensor(_ names: [String]) -> Bool {
    file.tensors.contains { tensor in
      tensor.name.hasPrefix("blk.") && names.contains { tensor.name.hasSuffix("." + $0) }
    }
  }

  private func addTokens(to object: inout JSONObject) throws(ModelError) {
    let tokens = try GGUFSpecialTokens(metadata: metadata)
    object["bos_token_id"] = tokens.bos.map { .number($0) } ?? .null
    object["eos_token_id"] = tokens.eos.map { .number($0) } ?? .null
  }
}
