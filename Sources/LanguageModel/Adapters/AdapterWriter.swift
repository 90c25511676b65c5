import Files
import JSON

/// Writes LoRA adapters in both forms: mlx-lm's files in the folder itself, PEFT's in its folder `peft`.
public enum AdapterWriter {
  /// Writes `adapters.safetensors` and `adapter_config.json`, and the same names under `peft/` as PEFT has them.
  /// The same adapter always gives the same bytes, and everything is on the disk when this returns.
  ///
  /// - Parameters:
  ///   - base: what to name as the base model, a path or a name.
  ///   - model: the configuration of the base model. mlx-lm can adapt the last layers only, so the tensors of
  ///     layers that the adapter leaves out in between are written as zeros in that form. It has no tensors that are
  ///     trained as a whole either: these are in the form of PEFT alone.
  ///   - folder: is made if it is not there.
  public static func write(
    _ adapter: AdapterWeights, base: String, model: ModelConfiguration, to folder: String
  ) throws {
    try check(adapter, model, folder)
    let peft = folder + "/" + AdapterForm.peftFolder
    try FileSystem.makeFolders(peft)
    try writeMLX(adapter, base: base, model: model, to: folder)
    try writePEFT(adapter, base: base, model: model, to: peft)
    try TaskHeadFiles(adapter)?.write(to: folder)
    try DomainFiles(adapter)?.write(to: folder)
    try FileSystem.syncFolder(folder)
  }

  /// One of the two forms, for one of the two packages alone.
  public enum Form: String, Sendable, CaseIterable { case peft, mlx }

  /// Writes one form into a folder that is there. That of mlx-lm is refused where it cannot hold all of the adapter.
  public static func write(
    _ adapter: AdapterWeights, as form: Form, base: String, model: ModelConfiguration, to folder: String
  ) throws {
    try check(adapter, model, folder)
    switch form {
    case .peft:
      try writePEFT(adapter, base: base, model: model, to: folder)
      try TaskHeadFiles(adapter)?.write(to: folder)
      try DomainFiles(adapter)?.write(to: folder)
    case .mlx:
      if let head = adapter.specification.heads.first {
        throw ModelError(
          file: folder, name: "tasks",
          "has a head for \(head.name), which the form of mlx-lm cannot hold; export it for PEFT")
      }
      if adapter.specification.domains?.adaptsNorms == true {
        throw ModelError(
          file: folder, name: "domains",
          "has norms with a scale for each domain, which the form of mlx-lm cannot hold; export it for PEFT")
      }
      if let whole = adapter.replaced.keys.min(by: utf8Ascending) {
        throw ModelError(
          file: folder, name: "tensor \(whole)",
          "is trained as a whole (modules_to_save), which the form of mlx-lm cannot hold; export it for PEFT, or merge it "
            + "into the model with nl-tool merge")
      }
      try writeMLX(adapter, base: base, model: model, to: folder)
    }
  }

  private static func check(
    _ adapter: AdapterWeights, _ model: ModelConfiguration, _ folder: String
  ) throws(ModelError) {
    try adapter.specification.check(for: model, file: folder)
    for expected in adapter.specification.tensors(of: model) {
      guard let tensor = adapter.tensors[expected.name], tensor.shape == expected.shape else {
        throw ModelError(
          file: folder, name: "tensor \(expected.name)", "is not there, or not of shape \(expected.shape)")
      }
    }
    let domains = adapter.specification.domains?.tensors(of: model) ?? []
    for expected in adapter.specification.heads.flatMap({ $0.tensors(of: model) }) + domains {
      guard adapter.heads[expected.name]?.shape == expected.shape else {
        throw ModelError(
          file: folder, name: "tensor \(expected.name)", "is not there, or not of shape \(expected.shape)")
      }
    }
  }

  private static func writeMLX(
    _ adapter: AdapterWeights, base: String, model: ModelConfiguration, to folder: String
  ) throws {
    let own = adapter.specification
    // One rank and one scale for all: the largest rank, and B times what a module's scale is more.
    let first = own.layers.first ?? 0
    let rank = own.modules.map(own.rank).max() ?? own.rank
    let whole = LoRASpecification(
      rank: rank,
      alpha: own.useRSLoRA || rank == own.rank ? own.alpha : own.alpha / Double(own.rank) * Double(rank),
      useRSLoRA: own.useRSLoRA, dropout: own.dropout, targetModules: own.targetModules,
      layers: Array(first..<model.layerCount))
    let items = whole.tensors(of: model).map { expected in
      let tensor = mlxTensor(expected, adapter, scale: whole.scale)
      let turned = expected.name.hasSuffix(".lora_a") ? tensor.transposed() : tensor
      return SafetensorsItem(name: expected.name, tensor: turned)
    }
    try SafetensorsWriter.write(items, to: folder + "/" + AdapterForm.mlxWeightsName)
    let root = Double(whole.rank)
    let config: JSONValue = [
      "fine_tune_type": "lora",
      "model": .string(base),
      "num_layers": .number(whole.layers.count),
      "lora_parameters": [
        "rank": .number(whole.rank),
        "scale": .number(whole.useRSLoRA ? whole.alpha / root.squareRoot() : whole.alpha / root),
        "dropout": shortest(whole.dropout),
        "keys": .strings(whole.projections.map(\.path)),
      ],
    ]
    try AtomicFile.write(config.bytes(indent: 2), to: folder + "/" + AdapterForm.configName)
  }

  /// A tensor with zeros in the rows that a smaller rank lacks, all of them zero if its module is not adapted.
  private static func mlxTensor(
    _ expected: ModelConfiguration.TensorShape, _ adapter: AdapterWeights, scale: Float
  ) -> HostTensor {
    guard let tensor = adapter.tensors[expected.name],
      let module = LoRAModule(path: String(expected.name.dropLast(".lora_a".count)))
    else { return HostTensor(zeros: expected.shape) }
    var values = tensor.values
    let own = adapter.specification.scale(of: module)
    if own != scale, expected.name.hasSuffix(".lora_b") { values = values.map { $0 * (own / scale) } }
    values += [Float](repeating: 0, count: expected.shape.reduce(1, *) - values.count)
    return HostTensor(shape: expected.shape, values: values)
  }

  private static func writePEFT(
    _ adapter: AdapterWeights, base: String, model: ModelConfiguration, to folder: String
  ) throws {
    let specification = adapter.specification
    var items = adapter.tensors.map { name, tensor in
      let stored = PEFTAdapterReader.storedName(name)
      return SafetensorsItem(name: stored.name, tensor: stored.transposed ? tensor.transposed() : tensor)
    }
    items += adapter.replaced.map { SafetensorsItem(name: AdapterForm.peftPrefix + $0.key, tensor: $0.value) }
    let score = soleScore(specification)
    if let score {
      items += adapter.heads.compactMap { name, tensor in
        guard let part = name.split(separator: ".").last, name.hasPrefix("heads.\(score.name).score.") else {
          return nil
        }
        return SafetensorsItem(name: "\(AdapterForm.peftPrefix)score.\(part)", tensor: tensor)
      }
    }
    try SafetensorsWriter.write(items, to: folder + "/" + AdapterForm.peftWeightsName)
    // No more keys than needed: older versions of PEFT warn of those that they do not know.
    var config = JSONObject()
    config["peft_type"] = "LORA"
    config["task_type"] =
      switch score?.kind {
      case .classification: "SEQ_CLS"
      case .tokenClassification: "TOKEN_CLS"
      case .languageModeling, nil: "CAUSAL_LM"
      }
    config["base_model_name_or_path"] = .string(base)
    config["inference_mode"] = true
    config["r"] = .number(specification.rank)
    config["lora_alpha"] = .number(specification.alpha)
    config["lora_dropout"] = shortest(specification.dropout)
    config["bias"] = "none"
    if specification.useRSLoRA { config["use_rslora"] = true }
    if specification.excluded.isEmpty {
      config["target_modules"] = .strings(specification.targetModules.sorted(by: utf8Ascending))
      if specification.layers.count < model.layerCount {
        config["layers_to_transform"] = .numbers(specification.layers)
      }
    } else {
      config["target_modules"] = .strings(specification.modules.map(\.path).sorted(by: utf8Ascending))
    }
    if !adapter.replaced.isEmpty || score != nil {
      var modules = Set(adapter.replaced.keys.map(ModelConfiguration.moduleName(ofTensor:)))
      if score != nil { modules.insert("score") }
      config["modules_to_save"] = .strings(modules.sorted(by: utf8Ascending))
    }
    let written = specification.json()
    for key in ["rank_pattern", "alpha_pattern"] {
      if let patterns = written[key] { config[key] = patterns }
    }
    try AtomicFile.write(
      JSONValue.object(config).bytes(indent: 2), to: folder + "/" + AdapterForm.configName)
  }

  /// The one head that PEFT's forms for classification have a place for: one layer of scores, of an only task. With others
  /// the form has the pairs alone, and `task_heads.safetensors` beside it all heads.
  private static func soleScore(_ specification: LoRASpecification) -> TaskHead? {
    guard specification.heads.count == 1, let head = specification.heads.first, head.isScoreAlone else {
      return nil
    }
    return head
  }

  /// A float in the fewest digits that read back to it: 0.1, not 0.10000000149.
  private static func shortest(_ value: Float) -> JSONValue { .number("\(value)") }
}
