import Tensors

/// Puts a transformer together from a model folder and collects what is trained.
struct TransformerBuilder {
  let loader: WeightLoader
  let trainable: Trainable
  /// By name.
  private(set) var trained: [String: Parameter] = [:]
  private let adapted: Set<LoRAModule>
  /// Tensors that are trained as a whole beside the pairs.
  private let saved: Set<String>

  init(loader: WeightLoader, trainable: Trainable) {
    self.loader = loader
    self.trainable = trainable
    adapted = if case .lora(let lora) = trainable { Set(lora.modules) } else { [] }
    saved = if case .lora(let lora) = trainable { Set(lora.trainedTensors) } else { [] }
  }

  private func isTrained(_ name: String) -> Bool {
    if case .full = trainable { true } else { saved.contains(name) }
  }

  private var configuration: ModelConfiguration { loader.folder.configuration }

  mutating func build() throws -> Transformer {
    let shape = [configuration.vocabularySize, configuration.hiddenSize]
    let embedTokens = try weight("model.embed_tokens.weight", shape: shape)
    var layers: [TransformerLayer] = []
    for index in 0..<configuration.layerCount { layers.append(try layer(index)) }
    return Transformer(
      configuration: configuration, embedTokens: embedTokens, layers: layers,
      norm: try norm("model.norm"),
      head: try head(embedTokens, shape: shape))
  }

  /// With tied embeddings the embedding itself, unless an adapter replaces one of the two.
  private mutating func head(_ embedTokens: Weight, shape: [Int]) throws -> Weight {
    let (embedding, head) = (WeightStore.embeddingName, WeightStore.headName)
    guard configuration.tiedEmbeddings, loader.replaced[head] == nil else {
      return try weight(head, shape: shape)
    }
    if saved.contains(head) {
      // It begins as what the base model has for it.
      let parameter = Parameter(name: head, tensor: try loader.tensor(embedding, shape: shape))
      trained[head] = parameter
      return .trained(parameter)
    }
    guard loader.replaced[embedding] != nil || saved.contains(embedding) else { return embedTokens }
    return .frozen(try loader.stored(embedding, shape: shape))
  }

  private mutating func layer(_ index: Int) throws -> TransformerLayer {
    let prefix = "model.layers.\(index)."
    let dimension = configuration.headDimension
    let normsHeads = configuration.queryKeyNorm
    return TransformerLayer(
      index: index, configuration: configuration,
      inputLayerNorm: try norm(prefix + "input_layernorm"),
      postAttentionLayerNorm: try norm(prefix + "post_attention_layernorm"),
      queryNorm: normsHeads ? try vector(prefix + "self_attn.q_norm.weight", count: dimension) : nil,
      keyNorm: normsHeads ? try vector(prefix + "self_attn.k_norm.weight", count: dimension) : nil,
      query: try linear(.query, layer: index), key: try linear(.key, layer: index),
      value: try linear(.value, layer: index), output: try linear(.output, layer: index),
      gate: try linear(.gate, layer: index), up: try linear(.up, layer: index),
      down: try linear(.down, layer: index))
  }

  private mutating func linear(_ projection: Projection, layer: Int) throws -> LinearLayer {
    let module = projection.module(layer: layer)
    let (inputs, outputs) = (configuration.inputSize(projection), configuration.outputSize(projection))
    return LinearLayer(
      weight: try weight(module + ".weight", shape: [outputs, inputs]),
      bias: configuration.hasBias(projection) ? try vector(module + ".bias", count: outputs) : nil,
      adapter: try adapter(projection, layer: layer))
  }

  private mutating func adapter(_ projection: Projection, layer: Int) throws -> LinearLayer.Adapter? {
    let module = LoRAModule(layer: layer, projection: projection)
    guard case .lora(let specification) = trainable, adapted.contains(module) else { return nil }
    let rank = specification.rank(of: module)
    return LinearLayer.Adapter(
      a: try fresh(module.path + ".lora_a", [rank, configuration.inputSize(projection)]),
      b: try fresh(module.path + ".lora_b", [rank, configuration.outputSize(projection)]),
      alpha: specification.alpha(of: module), divisor: specification.divisor(of: module),
      site: projection.site(layer: layer))
  }

  /// A parameter that is zero until it is set.
  mutating func fresh(_ name: String, _ shape: [Int]) throws -> Parameter {
    let parameter = Parameter(name: name, tensor: try loader.memory.zeros(shape))
    trained[name] = parameter
    return parameter
  }

  private mutating func weight(_ name: String, shape: [Int]) throws -> Weight {
    guard isTrained(name) else { return .frozen(try loader.matrix(name, shape: shape)) }
    let parameter = Parameter(name: name, tensor: try loader.tensor(name, shape: shape))
    trained[name] = parameter
    return .trained(parameter)
  }

  mutating func vector(_ name: String, count: Int) throws -> Parameter {
    let parameter = Parameter(name: name, tensor: try loader.tensor(name, shape: [count]))
    if isTrained(name) { trained[name] = parameter }
    return parameter
  }
}

extension Projection {
  /// A number for each projection of a model that does not depend on which of them are adapted.
  func site(layer: Int) -> UInt32 {
    UInt32(layer * Self.allCases.count + (Self.allCases.firstIndex(of: self) ?? 0))
  }
}
