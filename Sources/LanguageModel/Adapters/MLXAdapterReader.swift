import JSON

/// The form of mlx-lm: `lora_a` [in, r], `lora_b` [r, out], the last `num_layers` layers, and `scale`, which
/// multiplies directly.
struct MLXAdapterReader {
  let reader: ConfigurationReader
  let model: ModelConfiguration

  func read(weights path: String) throws(ModelError) -> AdapterWeights {
    let specification = try specification()
    let file = try SafetensorsFile(path: path)
    let tensors = try AdapterReader.tensors(specification, model: model, file: file) { name in
      (name: name, transposed: name.hasSuffix(".lora_a"))
    }
    return AdapterWeights(specification: specification, tensors: tensors)
  }

  private func specification() throws(ModelError) -> LoRASpecification {
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
    let specification = LoRASpecification(
      rank: rank, alpha: try parameters.requiredPositive("scale") * Double(rank), dropout: Float(dropout),
      targetModules: try modules(parameters), layers: try layers())
    try specification.check(for: model, file: reader.file)
    return specification
  }

  /// `keys` hold paths inside a layer, as in `self_attn.q_proj`; without them every linear layer is meant.
  private func modules(_ parameters: ConfigurationReader) throws(ModelError) -> [String] {
    guard let value = parameters.value("keys") else { return Projection.allCases.map(\.rawValue) }
    guard let list = value.array else { throw parameters.fault("keys", "must be a list, not \(value.kind)") }
    var modules: [String] = []
    for item in list {
      guard let projection = Projection.allCases.first(where: { $0.path == item.string }) else {
        let known = Projection.allCases.map(\.path).joined(separator: ", ")
        throw parameters.fault("keys", "\(item.text) is no projection of this model; these are \(known)")
      }
      modules.append(projection.rawValue)
    }
    return modules
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
