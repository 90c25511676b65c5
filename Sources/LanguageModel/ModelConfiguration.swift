import JSON

/// What `config.json` says of a model, in either spelling: that of transformers 4 (`rope_theta`, `rope_scaling`,
/// `torch_dtype`) or of transformers 5 (`rope_parameters`, `dtype`).
public struct ModelConfiguration: Sendable, Equatable {
  /// The families whose arithmetic is built.
  public enum Family: String, Sendable, CaseIterable {
    case qwen2, qwen3, llama, mistral
  }

  public var family: Family
  /// `model_type`.
  public var modelType: String { family.rawValue }
  public var vocabularySize: Int
  public var hiddenSize: Int
  public var intermediateSize: Int
  public var layerCount: Int
  public var headCount: Int
  /// A divisor of `headCount`.
  public var keyValueHeadCount: Int
  /// Even, and at most 256.
  public var headDimension: Int
  public var rmsNormEpsilon: Double
  public var ropeTheta: Double
  public var ropeScaling: RoPEScaling
  /// The embedding matrix is the head, too.
  public var tiedEmbeddings: Bool
  public var queryKeyValueBias: Bool
  public var outputBias: Bool
  public var mlpBias: Bool
  /// RMSNorm on queries and keys, per head, before RoPE (qwen3).
  public var queryKeyNorm: Bool
  /// For each layer, how many positions back (itself included) a token sees; nil: all.
  public var slidingWindows: [Int?]
  public var maxPositions: Int
  public var bosTokenID: Int?
  /// The tokens that end a text; empty if none is named.
  public var eosTokenIDs: [Int]
  /// `dtype` or `torch_dtype` as written; the tensors themselves say what they are.
  public var dtype: String?
  /// The standard deviation of fresh weights.
  public var initializerRange: Double
  /// What the config says and is not done, in words for whoever gave it.
  public var remarks: [String] = []

  public func slidingWindow(_ layer: Int) -> Int? {
    slidingWindows.indices.contains(layer) ? slidingWindows[layer] : nil
  }

  /// - Parameter file: the name of the file, for errors.
  /// - Throws: if a key is missing or wrong, or asks for something that is not built; the error names it.
  public init(json: JSONValue, file: String) throws(ModelError) {
    let reader = ConfigurationReader(json: json, file: file)
    guard json.object != nil else {
      throw ModelError(file: file, "must hold a JSON object, not \(json.kind)")
    }
    family = try Self.family(reader)
    try Self.refuseUnsupported(reader)

    vocabularySize = try reader.requiredCount("vocab_size")
    hiddenSize = try reader.requiredCount("hidden_size")
    intermediateSize = try reader.requiredCount("intermediate_size")
    layerCount = try reader.requiredCount("num_hidden_layers")
    headCount = try reader.requiredCount("num_attention_heads")
    keyValueHeadCount = try reader.count("num_key_value_heads") ?? headCount
    guard headCount % keyValueHeadCount == 0 else {
      throw reader.fault(
        "num_key_value_heads",
        "is \(keyValueHeadCount), which does not divide num_attention_heads (\(headCount))")
    }
    guard layerCount <= 65536 else {
      throw reader.fault("num_hidden_layers", "is \(layerCount), more than 65536")
    }
    headDimension = try Self.headDimension(
      reader, family: family, hiddenSize: hiddenSize, headCount: headCount)

    maxPositions = try reader.count("max_position_embeddings") ?? family.defaultMaxPositions
    let rope = try RoPESettings(
      reader, maxPositions: maxPositions, headDimension: headDimension,
      layerTypes: (reader.value("layer_types")?.array).map { Set($0.compactMap(\.string)) })
    ropeTheta = rope.theta
    ropeScaling = rope.scaling
    remarks = rope.remarks
    rmsNormEpsilon = try reader.positive("rms_norm_eps") ?? 1e-6
    tiedEmbeddings = try reader.bool("tie_word_embeddings", default: false)
    let attentionBias = try reader.bool("attention_bias", default: false)
    queryKeyValueBias = family == .qwen2 || (attentionBias && family != .mistral)
    outputBias = attentionBias && (family == .llama || family == .qwen3)
    let mlpBias = try reader.bool("mlp_bias", default: false)
    self.mlpBias = mlpBias && family == .llama
    queryKeyNorm = family == .qwen3
    slidingWindows = try Self.slidingWindows(reader, family: family, layerCount: layerCount)
    bosTokenID = try reader.value("bos_token_id").map { value throws(ModelError) in
      try reader.tokenID(value, "bos_token_id")
    }
    eosTokenIDs = try reader.tokenIDs("eos_token_id")
    dtype = try reader.string(reader.value("dtype") == nil ? "torch_dtype" : "dtype")
    initializerRange = try reader.positive("initializer_range") ?? 0.02
  }

  private static func family(_ reader: ConfigurationReader) throws(ModelError) -> Family {
    guard let name = try reader.string("model_type") else {
      throw reader.fault("model_type", "is missing; it must be \(Family.list)")
    }
    guard let family = Family(rawValue: name) else {
      throw reader.fault("model_type", "\"\(name)\" is not supported; it must be \(Family.list)")
    }
    return family
  }

  /// Names whatever would change the arithmetic and is not built, rather than computing something else.
  private static func refuseUnsupported(_ reader: ConfigurationReader) throws(ModelError) {
    if let activation = try reader.string("hidden_act"), activation != "silu" {
      throw reader.fault("hidden_act", "\"\(activation)\" is not supported; it must be \"silu\"")
    }
    for key in ["quantization", "quantization_config"] where reader.value(key) != nil {
      throw reader.fault(key, "quantized weights are not supported; use the model in f32, bf16 or f16")
    }
    if let dropout = reader.value("attention_dropout"), dropout.double != 0 {
      throw reader.fault(
        "attention_dropout", "is \(dropout.text); dropout of attention is not supported, set it to 0")
    }
  }

  private static func headDimension(
    _ reader: ConfigurationReader, family: Family, hiddenSize: Int, headCount: Int
  ) throws(ModelError) -> Int {
    let dimension: Int
    if let explicit = try reader.count("head_dim") {
      dimension = explicit
    } else if family == .qwen3 {
      dimension = 128
    } else {
      guard hiddenSize % headCount == 0 else {
        throw reader.fault(
          "num_attention_heads",
          "is \(headCount), which does not divide hidden_size (\(hiddenSize)); give head_dim")
      }
      dimension = hiddenSize / headCount
    }
    guard dimension % 2 == 0, dimension <= 256 else {
      throw reader.fault("head_dim", "is \(dimension); it must be even, and at most 256")
    }
    return dimension
  }

  private static func slidingWindows(
    _ reader: ConfigurationReader, family: Family, layerCount: Int
  ) throws(ModelError) -> [Int?] {
    let window: Int?
    let firstSliding: Int
    switch family {
    case .llama: return Array(repeating: nil, count: layerCount)
    case .mistral:
      // An absent key means the 4096 of the first Mistral; later ones say null.
      window = reader.json["sliding_window"] == nil ? 4096 : try reader.count("sliding_window")
      firstSliding = 0
    case .qwen2, .qwen3:
      guard try reader.bool("use_sliding_window", default: false) else {
        return Array(repeating: nil, count: layerCount)
      }
      window = reader.json["sliding_window"] == nil ? 4096 : try reader.count("sliding_window")
      firstSliding = try reader.count("max_window_layers", minimum: 0) ?? 28
    }
    if let types = try layerTypes(reader, layerCount: layerCount), family != .mistral {
      return types.map { $0 ? window : nil }
    }
    return (0..<layerCount).map { $0 >= firstSliding ? window : nil }
  }

  /// `layer_types` of transformers 5: for each layer whether it slides.
  private static func layerTypes(
    _ reader: ConfigurationReader, layerCount: Int
  ) throws(ModelError) -> [Bool]? {
    guard let value = reader.value("layer_types") else { return nil }
    guard let list = value.array, list.count == layerCount else {
      throw reader.fault("layer_types", "must be a list with one entry for each of the \(layerCount) layers")
    }
    var slides: [Bool] = []
    for item in list {
      switch item.string {
      case "full_attention": slides.append(false)
      case "sliding_attention": slides.append(true)
      default:
        throw reader.fault(
          "layer_types", "\(item.text) is neither \"full_attention\" nor \"sliding_attention\"")
      }
    }
    return slides
  }
}

extension ModelConfiguration.Family {
  static var list: String {
    let names = allCases.map { "\"\($0.rawValue)\"" }
    return names.dropLast().joined(separator: ", ") + " or " + (names.last ?? "")
  }

  /// What an absent `max_position_embeddings` means.
  var defaultMaxPositions: Int {
    switch self {
    case .llama: 2048
    case .qwen2, .qwen3: 32768
    case .mistral: 131072
    }
  }

  /// The name of the class in transformers, which its loader and others go by.
  var architecture: String {
    switch self {
    case .qwen2: "Qwen2ForCausalLM"
    case .qwen3: "Qwen3ForCausalLM"
    case .llama: "LlamaForCausalLM"
    case .mistral: "MistralForCausalLM"
    }
  }
}
