import JSON
import LanguageModel
import Testing

/// The defaults are those of the configuration classes of transformers 5.23.
@Suite struct ModelConfigurationTests {
  static let base = """
    {"model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96,
     "num_hidden_layers": 4, "num_attention_heads": 4}
    """

  private func read(_ changes: (String, JSONValue?)...) throws -> ModelConfiguration {
    var object = try #require(try JSONValue(parsing: Self.base).object)
    for (key, value) in changes { object[key] = value }
    return try ModelConfiguration(json: .object(object), file: "config.json")
  }

  @Test func defaults() throws {
    let llama = try read()
    #expect(llama.keyValueHeadCount == 4 && llama.headDimension == 16)
    #expect(llama.rmsNormEpsilon == 1e-6 && llama.ropeTheta == 10000 && llama.ropeScaling == .none)
    #expect(!llama.tiedEmbeddings && !llama.queryKeyValueBias && !llama.outputBias && !llama.mlpBias)
    #expect(!llama.queryKeyNorm && llama.slidingWindow(0) == nil && llama.eosTokenIDs == [])
    #expect(try read(("head_dim", nil)).headDimension == 16)
  }

  @Test func familiesDiffer() throws {
    let qwen2 = try read(("model_type", "qwen2"))
    #expect(qwen2.queryKeyValueBias && !qwen2.outputBias && !qwen2.queryKeyNorm)
    let qwen3 = try read(("model_type", "qwen3"))
    #expect(qwen3.headDimension == 128 && qwen3.queryKeyNorm && !qwen3.queryKeyValueBias)
    let biased = try read(("attention_bias", true), ("mlp_bias", true))
    #expect(biased.queryKeyValueBias && biased.outputBias && biased.mlpBias)
    let mistral = try read(("model_type", "mistral"), ("attention_bias", true), ("sliding_window", 8))
    #expect(!mistral.queryKeyValueBias && mistral.slidingWindows == [8, 8, 8, 8])
    #expect(try read(("model_type", "mistral")).slidingWindow(3) == 4096)
    #expect(try read(("model_type", "mistral"), ("sliding_window", .null)).slidingWindow(3) == nil)
  }

  @Test func slidingWindowOfQwen() throws {
    let off = try read(("model_type", "qwen2"), ("sliding_window", 16), ("max_window_layers", 2))
    #expect(off.slidingWindows == [nil, nil, nil, nil])
    let on = try read(
      ("model_type", "qwen2"), ("sliding_window", 16), ("max_window_layers", 2), ("use_sliding_window", true))
    #expect(on.slidingWindows == [nil, nil, 16, 16])
    let types = try read(
      ("model_type", "qwen2"), ("sliding_window", 16), ("use_sliding_window", true),
      (
        "layer_types",
        .strings(["sliding_attention", "full_attention", "full_attention", "sliding_attention"])
      ))
    #expect(types.slidingWindows == [16, nil, nil, 16])
  }

  /// The two spellings of one model.
  @Test func bothSpellings() throws {
    let scaling: JSONValue = [
      "type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
      "original_max_position_embeddings": 8192,
    ]
    let old = try read(("rope_theta", 500000), ("rope_scaling", scaling), ("torch_dtype", "bfloat16"))
    let new = try read(
      (
        "rope_parameters",
        [
          "rope_theta": 500000, "rope_type": "llama3", "factor": 8, "low_freq_factor": 1,
          "high_freq_factor": 4,
          "original_max_position_embeddings": 8192,
        ]
      ), ("dtype", "bfloat16"))
    #expect(old == new)
    #expect(
      old.ropeScaling
        == .llama3(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 8192))
    #expect(old.ropeTheta == 500000 && old.dtype == "bfloat16")
  }

  @Test func roundTrip() throws {
    let linear: JSONValue = ["rope_type": "linear", "factor": 2.5]
    let variants = [
      try read(
        ("rope_scaling", linear), ("eos_token_id", [1, 2]), ("bos_token_id", 0), ("attention_bias", true)),
      try read(
        ("model_type", "qwen2"), ("sliding_window", 16), ("max_window_layers", 2),
        ("use_sliding_window", true),
        ("eos_token_id", 7), ("tie_word_embeddings", true)),
      try read(("model_type", "qwen3"), ("initializer_range", 0.05), ("dtype", "float32")),
      try read(("model_type", "mistral"), ("sliding_window", 9), ("rms_norm_eps", 1e-5)),
    ]
    for variant in variants {
      let text = String(decoding: variant.json().bytes(indent: 2), as: UTF8.self)
      #expect(try ModelConfiguration(json: JSONValue(parsing: text), file: "config.json") == variant)
    }
  }

  @Test(arguments: [
    ("model_type", #""gemma2""#, "\"gemma2\" is not supported"),
    ("model_type", "null", "is missing"),
    ("vocab_size", "null", "is missing"),
    ("vocab_size", "0", "must be a whole number from 1"),
    ("hidden_size", #""64""#, "must be a whole number"),
    ("hidden_size", "1e30", "must be a whole number"),
    ("num_attention_heads", "3", "does not divide hidden_size"),
    ("num_key_value_heads", "3", "does not divide num_attention_heads"),
    ("head_dim", "15", "must be even"),
    ("hidden_act", #""gelu""#, "\"gelu\" is not supported"),
    ("rope_scaling", #"{"type": "mrope", "factor": 4}"#, "\"mrope\" is not supported"),
    (
      "rope_scaling", #"{"type": "longrope", "short_factor": [1], "long_factor": [1]}"#, "a list of 8 numbers"
    ),
    ("rope_scaling", #"{"type": "linear"}"#, "key \"rope_scaling.factor\": is missing"),
    ("rope_scaling", "8", "must be an object"),
    ("partial_rotary_factor", "0.5", "only 1 is supported"),
    ("quantization_config", #"{"bits": 4}"#, "quantized weights are not supported"),
    ("attention_dropout", "0.1", "set it to 0"),
    ("tie_word_embeddings", "1", "must be true or false"),
    ("eos_token_id", #""x""#, "must be a token id"),
    ("rms_norm_eps", "-1", "above 0"),
  ])
  func errorsNameFileAndKey(key: String, value: String, reason: String) {
    expectError("config.json", key, reason) { _ = try read((key, JSONValue(parsing: value))) }
  }

  /// LlamaConfig.from_dict(…).rope_parameters of transformers 5.24: the value in force, from wherever it stands.
  @Test(arguments: [
    (
      #"{"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}, "rope_scaling": {"rope_type": "linear", "factor": 4}}"#,
      1e4, RoPEScaling.linear(factor: 4)
    ),
    (
      #"{"rope_theta": 7, "rope_parameters": {"rope_type": "default"}, "rope_scaling": {"type": "linear", "factor": 4}}"#,
      7, .linear(factor: 4)
    ),
    (
      #"{"rope_scaling": {"rope_theta": 7, "type": "linear", "rope_type": "linear", "factor": 4}}"#, 7,
      .linear(factor: 4)
    ),
    (
      #"{"rope_parameters": {"rope_theta": 7, "rope_type": "linear", "factor": 4}, "rope_scaling": {}}"#, 7,
      .linear(factor: 4)
    ),
    (
      #"{"rope_parameters": {"rope_theta": 7, "rope_type": "linear", "factor": 4}, "rope_scaling": null}"#, 7,
      .linear(factor: 4)
    ),
    (#"{"rope_parameters": {}, "rope_theta": 7}"#, 7, .none),
    (#"{"rope_parameters": {"rope_type": "default"}, "rope_theta": 7}"#, 7, .none),
    (#"{"rope_scaling": {"rope_type": "default", "rope_theta": 7}, "rope_theta": 7.0}"#, 7, .none),
    (
      #"{"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4, "rope_theta": 7}}}"#, 7,
      .linear(factor: 4)
    ),
    (
      #"{"rope_parameters": {"full_attention": {"rope_type": "dynamic", "factor": 4}, "sliding_attention": {"rope_type": "dynamic", "factor": 4}}, "rope_theta": 7}"#,
      7, .dynamic(factor: 4)
    ),
    (
      #"{"rope_parameters": {"full_attention": {"rope_theta": 7}, "sliding_attention": {"rope_theta": 8}}, "layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"]}"#,
      7, .none
    ),
  ])
  func ropeIsReadFromEveryPlace(changes: String, theta: Double, scaling: RoPEScaling) throws {
    var object = try #require(try JSONValue(parsing: Self.base).object)
    for member in try #require(try JSONValue(parsing: changes).object).members {
      object[member.key] = member.value
    }
    let model = try ModelConfiguration(json: .object(object), file: "config.json")
    #expect(model.ropeTheta == theta && model.ropeScaling == scaling)
    // A θ that is not used is said.
    #expect(model.remarks.isEmpty == !changes.contains("5e5"), "\(model.remarks)")
  }

  @Test(arguments: [
    (
      #"{"rope_theta": 8, "rope_parameters": {"rope_theta": 7}}"#, "\"rope_theta\"",
      "rope_parameters.rope_theta is 7"
    ),
    (
      #"{"rope_theta": 8, "rope_scaling": {"rope_theta": 7, "type": "linear", "factor": 2}}"#,
      "\"rope_theta\"", "rope_scaling.rope_theta"
    ),
    (
      #"{"rope_parameters": {"rope_theta": 7}, "rope_scaling": {"rope_theta": 8, "type": "linear", "factor": 2}}"#,
      "rope_scaling.rope_theta", "rope_parameters.rope_theta"
    ),
    (
      #"{"rope_parameters": {"rope_type": "yarn", "factor": 4}, "rope_scaling": {"type": "linear", "factor": 2}}"#,
      "rope_scaling", "rope_parameters says"
    ),
    (
      #"{"rope_parameters": {"rope_type": "linear", "factor": 4}, "rope_scaling": {"type": "linear", "factor": 2}}"#,
      "rope_scaling", "rope_parameters says"
    ),
    (
      #"{"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 2}}"#, "rope_scaling.rope_type",
      "type is \"linear\""
    ),
    (
      #"{"original_max_position_embeddings": 64, "rope_scaling": {"type": "yarn", "factor": 2, "original_max_position_embeddings": 32}}"#,
      "original_max_position_embeddings", "is 64"
    ),
    (
      #"{"rope_parameters": {"full_attention": {"rope_theta": 7}, "sliding_attention": {"rope_theta": 8}}}"#,
      "sliding_attention", "full_attention"
    ),
  ])
  func placesThatContradictAreBothNamed(changes: String, one: String, other: String) throws {
    var object = try #require(try JSONValue(parsing: Self.base).object)
    for member in try #require(try JSONValue(parsing: changes).object).members {
      object[member.key] = member.value
    }
    expectError("config.json", one, other) {
      _ = try ModelConfiguration(json: .object(object), file: "config.json")
    }
  }

  @Test func errorsNameTheLine() throws {
    let text = "{\"model_type\": \"llama\",\n \"vocab_size\": 10,\n \"hidden_size\": true}"
    expectError("config.json: line 3, key \"hidden_size\"") {
      _ = try ModelConfiguration(json: JSONValue(parsing: text), file: "config.json")
    }
  }

  @Test func specificationOfLoRA() throws {
    let model = try read()
    let plain = LoRASpecification(rank: 8, alpha: 16, targetModules: ["v_proj", "q_proj"], layers: [3, 1])
    #expect(plain.scale == 2 && plain.targetModules == ["q_proj", "v_proj"] && plain.layers == [1, 3])
    #expect(
      LoRASpecification(rank: 4, alpha: 3, useRSLoRA: true, targetModules: [], layers: []).scale == 1.5)
    let tensors = plain.tensors(of: model)
    #expect(tensors.count == 8)
    #expect(tensors[0] == .init(name: "model.layers.1.self_attn.q_proj.lora_a", shape: [8, 64]))
    #expect(tensors[1] == .init(name: "model.layers.1.self_attn.q_proj.lora_b", shape: [8, 64]))
    #expect(try LoRASpecification(json: plain.json(), file: "x") == plain)
    try plain.check(for: model, file: "x")
    var wrong = plain
    wrong.targetModules = ["lm_head"]
    expectError("x", "lm_head") { try wrong.check(for: model, file: "x") }
    wrong = plain
    wrong.layers = [4]
    expectError("x", "layers", "0 to 3") { try wrong.check(for: model, file: "x") }
  }
}
