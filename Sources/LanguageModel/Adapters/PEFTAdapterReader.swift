import JSON

/// The form of PEFT: `base_model.model.` before each name, `lora_A.weight` [r, in], `lora_B.weight` [out, r], and
/// `lora_alpha`, which is divided by r (or by √r with `use_rslora`).
struct PEFTAdapterReader {
  let reader: ConfigurationReader
  let model: ModelConfiguration

  /// Keys that change nothing about what an adapter computes, or that are read below. Any other key must have a
  /// value that switches its feature off.
  private static let knownKeys: Set<String> = [
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout", "bias",
    "use_rslora",
    "init_lora_weights", "layers_to_transform", "layers_pattern", "megatron_core", "loftq_config",
    "eva_config",
    "qalora_group_size", "runtime_config",
    // mlx-lm's, in a file that serves both.
    "fine_tune_type", "num_layers", "lora_parameters", "model",
  ]

  func read(weights path: String) throws(ModelError) -> AdapterWeights {
    try refuseUnsupported()
    let file = try SafetensorsFile(path: path)
    let (projections, layers) = try coverage(of: file)
    try checkTargets(projections)
    let specification = LoRASpecification(
      rank: try reader.count("r") ?? 8, alpha: try reader.positive("lora_alpha") ?? 8,
      useRSLoRA: try reader.bool("use_rslora", default: false), dropout: try dropout(),
      targetModules: projections.map(\.rawValue), layers: layers)
    try specification.check(for: model, file: reader.file)
    let tensors = try AdapterReader.tensors(specification, model: model, file: file, stored: Self.storedName)
    return AdapterWeights(specification: specification, tensors: tensors)
  }

  /// The name in the file of one of our tensors; both forms keep A as [r, in], PEFT alone keeps B as [out, r].
  static func storedName(_ name: String) -> (name: String, transposed: Bool) {
    let module = AdapterForm.peftPrefix + name.dropLast(".lora_a".count)
    return name.hasSuffix(".lora_a") ? (module + ".lora_A.weight", false) : (module + ".lora_B.weight", true)
  }

  private func refuseUnsupported() throws(ModelError) {
    guard let type = try reader.string("peft_type") else {
      throw reader.fault("peft_type", "is missing; a LoRA adapter of PEFT says \"LORA\" here")
    }
    guard type == "LORA" else {
      throw reader.fault("peft_type", "\"\(type)\" is not supported; it must be \"LORA\"")
    }
    if let bias = try reader.string("bias"), bias != "none" {
      throw reader.fault("bias", "\"\(bias)\" is not supported; it must be \"none\"")
    }
    // These ways of starting change the base weights, too, so the adapter alone is not the model.
    if let start = reader.value("init_lora_weights")?.string,
      !["gaussian", "eva", "orthogonal", "true", "false"].contains(start)
    {
      throw reader.fault(
        "init_lora_weights", "\"\(start)\" is not supported; convert the adapter to plain LoRA first")
    }
    for member in reader.json.object?.members ?? [] where !Self.knownKeys.contains(member.key) {
      guard Self.switchesOff(member.value) else {
        throw reader.fault(member.key, "\(member.value.text) is not supported; only plain LoRA is")
      }
    }
  }

  private static func switchesOff(_ value: JSONValue) -> Bool {
    switch value {
    case .null: true
    case .bool(let on): !on
    case .array(let items): items.isEmpty
    case .object(let object): object.members.isEmpty
    case .number, .string: false
    }
  }

  private func dropout() throws(ModelError) -> Float {
    guard let value = reader.value("lora_dropout") else { return 0 }
    guard let number = value.double, number >= 0, number < 1 else {
      throw reader.fault("lora_dropout", "must be a number from 0 to below 1, not \(value.text)")
    }
    return Float(number)
  }

  /// The projections and layers that the file holds tensors for. PEFT finds modules by suffixes, expressions and
  /// lists of layers; what it found is what lies in the file.
  private func coverage(of file: SafetensorsFile) throws(ModelError) -> ([Projection], [Int]) {
    var modules: [String: (layer: Int, projection: Projection)] = [:]
    for layer in 0..<model.layerCount {
      for projection in Projection.allCases {
        modules[AdapterForm.peftPrefix + projection.module(layer: layer)] = (layer, projection)
      }
    }
    var layers = Set<Int>()
    var projections = Set<Projection>()
    for name in file.names {
      let half = [".lora_A.weight", ".lora_B.weight"].first { name.hasSuffix($0) }
      guard let half, let module = modules[String(name.dropLast(half.count))] else {
        throw ModelError(
          file: file.path, name: "tensor \(name)",
          "belongs to no projection of this model; expected names like "
            + "\(AdapterForm.peftPrefix)model.layers.0.self_attn.q_proj.lora_A.weight")
      }
      layers.insert(module.layer)
      projections.insert(module.projection)
    }
    guard !layers.isEmpty else { throw ModelError(file: file.path, "holds no tensors") }
    return (Projection.allCases.filter(projections.contains), layers.sorted())
  }

  /// A list in `target_modules` must name what the file holds; an expression, or none, is taken as it was found.
  private func checkTargets(_ found: [Projection]) throws(ModelError) {
    guard let list = reader.value("target_modules")?.array else { return }
    for item in list {
      guard let name = item.string else { throw reader.fault("target_modules", "must be a list of names") }
      guard found.contains(where: { Self.matches($0, name) }) else {
        throw reader.fault("target_modules", "\"\(name)\" has no tensors in \(AdapterForm.peftWeightsName)")
      }
    }
    for projection in found where !list.contains(where: { Self.matches(projection, $0.string ?? "") }) {
      throw reader.fault("target_modules", "does not name \(projection.rawValue), which has tensors")
    }
  }

  /// PEFT matches a name with the whole path of a module or with its end.
  private static func matches(_ projection: Projection, _ name: String) -> Bool {
    name == projection.rawValue || name.hasSuffix("." + projection.rawValue)
  }
}
