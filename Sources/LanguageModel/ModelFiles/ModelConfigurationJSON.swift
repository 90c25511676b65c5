import JSON

extension ModelConfiguration {
  /// A `config.json` that transformers 4, transformers 5 and mlx-lm read alike: every key that bears on the
  /// arithmetic is there, in the older spelling, which all three know.
  public func json() -> JSONValue {
    var object = JSONObject()
    object["architectures"] = .strings([family.architecture])
    object["model_type"] = .string(modelType)
    object["vocab_size"] = .number(vocabularySize)
    object["hidden_size"] = .number(hiddenSize)
    object["intermediate_size"] = .number(intermediateSize)
    object["num_hidden_layers"] = .number(layerCount)
    object["num_attention_heads"] = .number(headCount)
    object["num_key_value_heads"] = .number(keyValueHeadCount)
    object["head_dim"] = .number(headDimension)
    object["hidden_act"] = "silu"
    object["rms_norm_eps"] = .number(rmsNormEpsilon)
    object["rope_theta"] = .number(ropeTheta)
    object["rope_scaling"] = ropeScaling.json
    object["max_position_embeddings"] = .number(maxPositions)
    object["tie_word_embeddings"] = .bool(tiedEmbeddings)
    if family == .llama || family == .qwen3 { object["attention_bias"] = .bool(queryKeyValueBias) }
    if family == .llama { object["mlp_bias"] = .bool(mlpBias) }
    for (key, value) in slidingKeys() { object[key] = value }
    object["attention_dropout"] = 0
    object["initializer_range"] = .number(initializerRange)
    object["bos_token_id"] = bosTokenID.map { .number($0) } ?? .null
    object["eos_token_id"] =
      eosTokenIDs.count == 1 ? .number(eosTokenIDs[0]) : eosTokenIDs.isEmpty ? .null : .numbers(eosTokenIDs)
    if let dtype { object["torch_dtype"] = .string(dtype) }
    return .object(object)
  }

  private func slidingKeys() -> [(String, JSONValue)] {
    let window = slidingWindows.compactMap { $0 }.first
    let value: JSONValue = window.map { .number($0) } ?? .null
    switch family {
    case .llama: return []
    case .mistral: return [("sliding_window", value)]
    case .qwen2, .qwen3:
      guard window != nil else { return [("use_sliding_window", false)] }
      let first = slidingWindows.firstIndex { $0 != nil } ?? layerCount
      let types = slidingWindows.map { $0 == nil ? "full_attention" : "sliding_attention" }
      return [
        ("use_sliding_window", true), ("sliding_window", value), ("max_window_layers", .number(first)),
        ("layer_types", .strings(types)),
      ]
    }
  }
}
