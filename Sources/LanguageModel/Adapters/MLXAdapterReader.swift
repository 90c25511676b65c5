import JSON

/// The form of mlx-lm: `lora_a` [in, r], `lora_b` [r, out], the last `num_layers` layers, and `scale`, which
/// multiplies directly.
struct MLXAdapterReader {
  let reader: ConfigurationReader
  let model: ModelConfiguration

  func read(weights path: String) throws(ModelError) -> AdapterWeights {
    let file = try SafetensorsFile(path: path)
    let specification = try specification(file)
    let tensors = try AdapterReader.tensors(specification, model: model, file: file) { name in
      (name: name, transposed: name.hasSuffix(".lora_a"))
    }
    return AdapterWeights(specification: specification, tensors: tensors)
  }

  private func specification(_ file: SafetensorsFile) throws(ModelError) -> LoRASpecification {
    if let type = try reader.string("fine_tune_type"), type != "lora" {
      throw reader.fault("fine_tune_type", "\"\(type)\" is not supported; it must be \"lora\"")
    }
    guard let parameters = try reader.object("lora_parameters") else {
      throw reader.fault("lora_parameters", "is missing")
    }
    let rank = try parameters.requiredCount("rank")
    let dropout = parameters.value("dropout")?.double ?? 0
    guard dropout >= 0, dropout < 1 else {
      throw parameters.fault("dropout", "must be a number from 0 to below 1")
    }
    let alpha = try parameters.requiredPositive("scale") * Double(rank)
    let specification = LoRASpecification(
      modules: Dictionary(
        uniqueKeysWithValues: try modules(file, parameters).map { ($0, (rank: rank, alpha: alpha)) }),
      rank: rank, alpha: alpha, dropout: Float(dropout))
    try specification.check(for: model, file: reader.file)
    return specification
  }

  /// The modules that the config names and the file holds tensors for; one without is as mlx-lm makes it anew, with B
  /// zero, and changes nothing. `keys` hold paths inside a layer, as in `self_attn.q_proj`, for the last `num_layers`
  /// layers, or whole paths; without them every linear layer is meant.
  private func modules(
    _ file: SafetensorsFile, _ parameters: ConfigurationReader
  ) throws(ModelError) -> [LoRAModule] {
    let layers = try layers()
    var keys: Set<String>?
    if let value = parameters.value("keys") {
      guard let list = value.array, list.allSatisfy({ $0.string != nil }) else {
        throw parameters.fault("keys", "must be a list of names, not \(value.kind)")
      }
      keys = Set(list.compactMap(\.string))
    }
    let named = model.linearModules.filter { module in
      guard let keys else { return layers.contains(module.layer) }
      return keys.contains(module.path)
        || (layers.contains(module.layer) && keys.contains(module.projection.path))
    }
    guard !named.isEmpty else {
      let known = Projection.allCases.map(\.path).joined(separator: ", ")
      throw parameters.fault(
        "keys",
        "\(parameters.value("keys")?.text ?? "") names no projection of this model; these are \(known)")
    }
    let found = named.filter { module in
      file.contains(module.path + ".lora_a") || file.contains(module.path + ".lora_b")
    }
    guard !found.isEmpty else {
      throw ModelError(file: file.path, "holds no tensors of the modules that \(reader.file) names")
    }
    return found
  }

  /// The last `num_layers` layers; 0 and −1 mean all of them.
  private func layers() throws(ModelError) -> [Int] {
    guard let value = reader.value("num_layers") else { throw reader.fault("num_layers", "is missing") }
    guard let count = value.int, count >= -1, count <= model.layerCount else {
      throw reader.fault("num_layers", "is \(value.text), but the model has \(model.layerCount) layers")
    }
    return Array((count > 0 ? model.layerCount - count : 0)..<model.layerCount)
  }
}
