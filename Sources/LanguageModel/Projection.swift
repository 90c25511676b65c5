/// The seven linear layers of a transformer layer, by their names in checkpoints.
public enum Projection: String, Sendable, CaseIterable {
  case query = "q_proj"
  case key = "k_proj"
  case value = "v_proj"
  case output = "o_proj"
  case gate = "gate_proj"
  case up = "up_proj"
  case down = "down_proj"

  /// The path inside a layer, as in `self_attn.q_proj`.
  public var path: String {
    switch self {
    case .query, .key, .value, .output: "self_attn.\(rawValue)"
    case .gate, .up, .down: "mlp.\(rawValue)"
    }
  }

  /// The path inside the model, as in `model.layers.0.self_attn.q_proj`.
  public func module(layer: Int) -> String { "model.layers.\(layer).\(path)" }
}

extension ModelConfiguration {
  /// The length of the vectors that a projection takes.
  public func inputSize(_ projection: Projection) -> Int {
    switch projection {
    case .output: headCount * headDimension
    case .down: intermediateSize
    default: hiddenSize
    }
  }

  /// The length of the vectors that a projection gives.
  public func outputSize(_ projection: Projection) -> Int {
    switch projection {
    case .query: headCount * headDimension
    case .key, .value: keyValueHeadCount * headDimension
    case .gate, .up: intermediateSize
    case .output, .down: hiddenSize
    }
  }

  public func hasBias(_ projection: Projection) -> Bool {
    switch projection {
    case .query, .key, .value: queryKeyValueBias
    case .output: outputBias
    case .gate, .up, .down: mlpBias
    }
  }

  /// A tensor of the checkpoint.
  public struct TensorShape: Sendable, Equatable {
    public let name: String
    public let shape: [Int]

    public init(name: String, shape: [Int]) {
      self.name = name
      self.shape = shape
    }
  }

  /// Every tensor that a checkpoint of this model must hold, in the order of the forward pass. With tied
  /// embeddings there is no `lm_head.weight`.
  public var tensors: [TensorShape] {
    var list = [TensorShape(name: "model.embed_tokens.weight", shape: [vocabularySize, hiddenSize])]
    for layer in 0..<layerCount { list += tensors(layer: layer) }
    list.append(.init(name: "model.norm.weight", shape: [hiddenSize]))
    if !tiedEmbeddings { list.append(.init(name: "lm_head.weight", shape: [vocabularySize, hiddenSize])) }
    return list
  }

  private func tensors(layer: Int) -> [TensorShape] {
    let prefix = "model.layers.\(layer)."
    func linear(_ projection: Projection) -> [TensorShape] {
      let out = outputSize(projection)
      let weight = TensorShape(
        name: prefix + projection.path + ".weight", shape: [out, inputSize(projection)])
      let bias = TensorShape(name: prefix + projection.path + ".bias", shape: [out])
      return hasBias(projection) ? [weight, bias] : [weight]
    }
    var list = [TensorShape(name: prefix + "input_layernorm.weight", shape: [hiddenSize])]
    for projection in [Projection.query, .key, .value] { list += linear(projection) }
    if queryKeyNorm {
      list.append(.init(name: prefix + "self_attn.q_norm.weight", shape: [headDimension]))
      list.append(.init(name: prefix + "self_attn.k_norm.weight", shape: [headDimension]))
    }
    list += linear(.output)
    list.append(.init(name: prefix + "post_attention_layernorm.weight", shape: [hiddenSize]))
    for projection in [Projection.gate, .up, .down] { list += linear(projection) }
    return list
  }
}
