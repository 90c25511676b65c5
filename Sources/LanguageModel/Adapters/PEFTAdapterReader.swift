import JSON

/// The form of PEFT: `base_model.model.` before each name, `lora_A.weight` [r, in], `lora_B.weight` [out, r], and
/// `lora_alpha`, which is divided by r (or by √r with `use_rslora`).
struct PEFTAdapterReader {
  let reader: ConfigurationReader
  var model: ModelConfiguration

  /// Keys that change nothing about what an adapter computes, or that are read below. Any other key must have a
  /// value that switches its feature off.
  private static let knownKeys: Set<String> = [
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout", "bias",
    "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save", "ensure_weight_tying",
    "init_lora_weights", "layers_to_transform", "layers_pattern", "megatron_core", "loftq_config",
    "eva_config",
    "qalora_group_size", "runtime_config",
    // mlx-lm's, in a file that serves both.
    "fine_tune_type", "num_layers", "lora_parameters", "model",
  ]

  func read(weights path: String) throws(ModelError) -> AdapterWeights {
    try refuseUnsupported()
    let file = try SafetensorsFile(path: path)
    let names = try PEFTTensorNames(of: file, model: model)
    let rows = try vocabularyRows(names, file)
    if rows > model.vocabularySize {
      var grown = self
      grown.model.vocabularySize = rows
      var adapter = try grown.read(names, file)
      adapter.specification.vocabularyRows = rows
      return adapter
    }
    return try read(names, file)
  }

  /// The most rows that the adapter's embedding or head has: more than the model's where tokens were added.
  private func vocabularyRows(_ names: PEFTTensorNames, _ file: SafetensorsFile) throws(ModelError) -> Int {
    var rows = 0
    for name in [WeightStore.embeddingName, WeightStore.headName] {
      guard let stored = names.replaced[name] else { continue }
      rows = max(rows, try file.tensor(stored).shape.first ?? 0)
    }
    return rows
  }

  private func read(_ names: PEFTTensorNames, _ file: SafetensorsFile) throws(ModelError) -> AdapterWeights {
    let path = file.path
    try checkTargets(names.modules, file: path)
    var specification = try specification(names.modules)
    let (head, heads) = try score(names, file)
    specification.heads = head.map { [$0] } ?? []
    try specification.check(for: model, file: reader.file)
    let tensors = try AdapterReader.tensors(
      specification, model: model, file: file,
      others: names.passedOver.union(names.replaced.values).union(names.score.values)
    ) { name in names.stored[name].map { ($0, name.hasSuffix(".lora_b")) } ?? Self.storedName(name) }
    return AdapterWeights(
      specification: specification, tensors: tensors, replaced: try replaced(names, file),
      heads: heads)
  }

  /// The head of the forms for one task, SEQ_CLS and TOKEN_CLS. What its labels are called, PEFT leaves to the base model's
  /// config.
  private func score(
    _ names: PEFTTensorNames, _ file: SafetensorsFile
  ) throws(ModelError) -> (TaskHead?, [String: HostTensor]) {
    guard let stored = names.score["weight"] else {
      guard let bias = names.score["bias"] else { return (nil, [:]) }
      throw ModelError(file: file.path, name: "tensor \(bias)", "has no weight beside it")
    }
    let kind: TaskHead.Kind
    switch try reader.string("task_type") {
    case "SEQ_CLS": kind = .classification
    case "TOKEN_CLS": kind = .tokenClassification
    case let other:
      throw reader.fault(
        "task_type",
        "is \(other.map { "\"\($0)\"" } ?? "missing"), and the file has \(stored); it must be SEQ_CLS or TOKEN_CLS"
      )
    }
    let count = try file.tensor(stored).shape.first ?? 0
    let head = TaskHead(name: "default", kind: kind, labels: (0..<count).map { "LABEL_\($0)" })
    var tensors: [String: HostTensor] = [:]
    for expected in head.tensors(of: model) {
      let part = expected.name.hasSuffix("bias") ? "bias" : "weight"
      guard let stored = names.score[part] else {
        throw ModelError(file: file.path, name: "tensor score.\(part)", "is missing")
      }
      tensors[expected.name] = try AdapterReader.tensor(stored, shape: expected.shape, rank: nil, file: file)
    }
    return (head, tensors)
  }

  /// The name in the file of one of our tensors; both forms keep A as [r, in], PEFT alone keeps B as [out, r].
  static func storedName(_ name: String) -> (name: String, transposed: Bool) {
    let module = AdapterForm.peftPrefix + name.dropLast(".lora_a".count)
    return name.hasSuffix(".lora_a") ? (module + ".lora_A.weight", false) : (module + ".lora_B.weight", true)
  }

  private func specification(_ modules: Set<LoRAModule>) throws(ModelError) -> LoRASpecification {
    let rank = try reader.count("r") ?? 8
    let alpha = try reader.positive("lora_alpha") ?? 8
    let ranks: ModulePatternMap<Int> = try patterns("rank_pattern") { part, key throws(ModelError) in
      try part.requiredCount(key)
    }
    let alphas: ModulePatternMap<Double> = try patterns("alpha_pattern") { part, key throws(ModelError) in
      try part.requiredPositive(key)
    }
    return LoRASpecification(
      modules: Dictionary(
        uniqueKeysWithValues: modules.map { module in
          (module, (rank: ranks.value(for: module) ?? rank, alpha: alphas.value(for: module) ?? alpha))
        }), rank: rank, alpha: alpha, useRSLoRA: try reader.bool("use_rslora", default: false),
      dropout: try dropout())
  }

  private func patterns<Value: Sendable>(
    _ key: String, _ value: (ConfigurationReader, String) throws(ModelError) -> Value
  ) throws(ModelError) -> ModulePatternMap<Value> {
    var entries: [(key: String, value: Value)] = []
    if let part = try reader.object(key) {
      for member in part.json.object?.members ?? [] {
        entries.append((member.key, try value(part, member.key)))
      }
    }
    do throws(ModulePatternError) { return try ModulePatternMap(entries) } catch {
      throw reader.fault(key, error.description)
    }
  }

  /// What is trained as a whole. A head that is the embedding stays what it was where the embedding alone is in
  /// `modules_to_save`: PEFT keeps the original for it unless `ensure_weight_tying` is on.
  private func replaced(
    _ names: PEFTTensorNames, _ file: SafetensorsFile
  ) throws(ModelError) -> [String: HostTensor] {
    let saved = try ModuleNames.read("modules_to_save", reader).names ?? []
    var tensors: [String: HostTensor] = [:]
    for (name, stored) in names.replaced {
      guard let shape = model.shape(ofTensor: name) else { continue }
      tensors[name] = try AdapterReader.tensor(stored, shape: shape, rank: nil, file: file)
    }
    if model.tiedEmbeddings, let embedding = tensors[WeightStore.embeddingName],
      tensors[WeightStore.headName] == nil
    {
      let isSaved = saved.contains { "model.embed_tokens" == $0 || "model.embed_tokens".hasSuffix("." + $0) }
      let staysTied = try reader.bool("ensure_weight_tying", default: false)
      if !isSaved || staysTied { tensors[WeightStore.headName] = embedding }
    }
    return tensors
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

  /// The value that every type has where a feature is off.
  private static func switchesOff(_ value: JSONValue) -> Bool {
    switch value {
    case .null: true
    case .bool(let on): !on
    case .array(let items): items.isEmpty
    case .object(let object): object.members.isEmpty
    case .number: value.double == 0
    case .string(let text): text.isEmpty || text.lowercased() == "none"
    }
  }

  private func dropout() throws(ModelError) -> Float {
    guard let value = reader.value("lora_dropout") else { return 0 }
    guard let number = value.double, number >= 0, number < 1 else {
      throw reader.fault("lora_dropout", "must be a number from 0 to below 1, not \(value.text)")
    }
    return Float(number)
  }

  /// Every module that the file holds tensors for must be one that the config names. One that the config names and that
  /// has none is, with PEFT, new, with B zero, and changes nothing; names that this model has no module for are passed
  /// over, as PEFT does.
  private func checkTargets(_ found: Set<LoRAModule>, file: String) throws(ModelError) {
    guard !found.isEmpty else {
      throw ModelError(file: file, "holds no tensors of a projection of this model")
    }
    guard let targets = try ModuleNames.read("target_modules", reader).selection else { return }
    let layers = try layersToTransform()
    let patterns = try ModuleNames.read("layers_pattern", reader).names ?? []
    let excluded = try ModuleNames.read("exclude_modules", reader).selection
    let saved = try ModuleNames.read("modules_to_save", reader).names ?? []
    let rule: ModuleTargets
    do throws(ModulePatternError) {
      rule = try ModuleTargets(
        targets, excluded: excluded, layers: layers, layersPatterns: patterns, saved: saved)
    } catch {
      throw reader.fault("target_modules", error.description)
    }
    if let stray = found.sorted().first(where: { !rule.contains($0) }) {
      throw reader.fault("target_modules", "does not name \(stray.path), which has tensors in \(file)")
    }
  }

  private func layersToTransform() throws(ModelError) -> [Int]? {
    guard let value = reader.value("layers_to_transform") else { return nil }
    if let one = value.int { return [one] }
    guard let list = value.array, list.allSatisfy({ $0.int != nil }) else {
      throw reader.fault("layers_to_transform", "must be a number or a list of numbers")
    }
    return list.compactMap(\.int)
  }
}

/// The value of a key that is a text or a list of texts.
private struct ModuleNames {
  let selection: ModuleTargets.Selection?
  /// Those of the list, or the text alone.
  let names: [String]?

  static func read(_ key: String, _ reader: ConfigurationReader) throws(ModelError) -> ModuleNames {
    guard let value = reader.value(key) else { return ModuleNames(selection: nil, names: nil) }
    if let text = value.string { return ModuleNames(selection: .init(text: text), names: [text]) }
    guard let list = value.array, list.allSatisfy({ $0.string != nil }) else {
      throw reader.fault(key, "must be a text or a list of names")
    }
    let names = list.compactMap(\.string)
    return ModuleNames(selection: names.isEmpty ? nil : .names(names), names: names)
  }
}
