import JSON
import LanguageModel
import NestedLearning

/// What a run trains, and the values that it starts from: a loaded adapter, a fresh one, or the whole model.
struct StartingPoint {
  /// The config with the loaded adapter's rank, scale and modules in it.
  let config: NestedLearningConfig
  let trainable: Trainable
  /// Empty for full training, which starts from the checkpoint itself.
  let values: [String: HostTensor]

  /// Rows of the embedding and the head where tokens were added; nil where they are the base model's.
  var vocabularyRows: Int? { if case .lora(let lora) = trainable { lora.vocabularyRows } else { nil } }

  init(config requested: NestedLearningConfig, model: ModelFolder) throws {
    if requested.trainable == .full, !requested.addTokens.isEmpty {
      throw ConfigError(
        file: "config", key: "add_tokens", reason: "is for LoRA; here all weights of the model are trained",
        remedy: "leave it out, or set \"trainable\" to \"lora\"")
    }
    switch (requested.trainable, requested.adapterPath) {
    case (.full, nil): self.init(config: requested, trainable: .full)
    case (.full, let path?):
      throw ConfigError(
        file: "config", key: "adapter_path", reason: "\(path) cannot be loaded when all weights are trained",
        remedy: "leave out adapter_path, or set \"trainable\" to \"lora\"")
    case (.lora, nil): try self.init(fresh: requested, model: model.configuration)
    case (.lora, let path?):
      try self.init(
        loaded: AdapterReader.read(folder: path, model: model.configuration), path: path, model: model,
        config: requested)
    }
  }

  private init(
    config: NestedLearningConfig, trainable: Trainable, values: [String: HostTensor] = [:]
  ) {
    self.config = config
    self.trainable = trainable
    self.values = values
  }

  private init(fresh config: NestedLearningConfig, model: ModelConfiguration) throws {
    var lora = try FreshModules(config: config, model: model).specification()
    lora.heads = config.tasks.map(TaskHead.init)
    lora.learnsTaskWeights = !lora.heads.isEmpty && config.tasksWeighting == .uncertainty
    lora.balancesTasks = !lora.heads.isEmpty && config.tasksWeighting == .gradnorm
    lora.domains = Domains(config)
    try lora.check(for: model, file: "config")
    self.init(
      config: config, trainable: .lora(lora),
      values: TrainableModel.freshLoRA(configuration: model, specification: lora, seed: config.seed).merging(
        TrainableModel.freshHeads(configuration: model, specification: lora, seed: config.seed)
      ) { pair, _ in pair })
  }

  /// A loaded adapter fixes rank, scale and modules; a key that says otherwise is an error rather than ignored.
  private init(
    loaded adapter: AdapterWeights, path: String, model: ModelFolder, config requested: NestedLearningConfig
  ) throws {
    var lora = adapter.specification
    if model.addedRows > 0 { lora.vocabularyRows = lora.vocabularyRows ?? model.configuration.vocabularySize }
    var config = requested
    func fix<Value: Equatable>(
      _ key: String, _ property: WritableKeyPath<NestedLearningConfig, Value>, _ value: Value
    ) throws {
      if requested.explicitKeys.contains(key) && requested[keyPath: property] != value {
        throw ConfigError(
          file: "config", key: key,
          reason: "is \(requested[keyPath: property]), but the adapter in \(path) has \(value)",
          remedy: "leave out \(key), or leave out adapter_path to start a fresh adapter")
      }
      config[keyPath: property] = value
    }
    try fix("lora_rank", \.loraRank, lora.rank)
    try fix("lora_alpha", \.loraAlpha, lora.alpha)
    try fix("use_rslora", \.useRslora, lora.useRSLoRA)
    lora.trainedTensors = adapter.replaced.keys.sorted(by: utf8Ascending)
    let empty = NestedLearningConfig(baseModelPath: "", trainDataPath: "", experimentName: "")
    for key in FreshModules.keys
    where requested.keys(differingFrom: empty).contains(key) && requested.explicitKeys.contains(key) {
      throw ConfigError(
        file: "config", key: key,
        reason: "is for a fresh adapter, but the one in \(path) has its modules already",
        remedy: "leave out \(key), or leave out adapter_path to start a fresh adapter")
    }
    config.loraTargetModules.sort()
    let modules = lora.targetModules.sorted()
    if requested.explicitKeys.contains("lora_target_modules") && config.loraTargetModules != modules {
      throw ConfigError(
        file: "config", key: "lora_target_modules",
        reason: "differs from the adapter in \(path), which has \(modules)",
        remedy: "leave it out, or leave out adapter_path to start a fresh adapter")
    }
    config.loraTargetModules = modules
    if requested.explicitKeys.contains("lora_dropout") {
      lora.dropout = Float(requested.loraDropout)
    } else {
      config.loraDropout = Double(lora.dropout)
    }
    let heads = try StartingHeads(adapter, model: model.configuration, config: requested, path: path)
    (lora.heads, lora.learnsTaskWeights, config.tasks) = (
      heads.heads, heads.learnsTaskWeights, heads.definitions
    )
    lora.balancesTasks = !lora.heads.isEmpty && config.tasksWeighting == .gradnorm
    let usesDomains = config.adaptationAdversary > 0 || config.adaptationNorms != .none
    if let own = adapter.specification.domains, usesDomains || own.adaptsNorms {
      try fix("adaptation_domains", \.adaptationDomains, own.names)
      try fix("adaptation_domain_field", \.adaptationDomainField, own.field)
      if own.adaptsNorms {
        try fix("adaptation_norms", \.adaptationNorms, AdaptedNorms(rawValue: own.norms.rawValue) ?? .none)
      }
    } else if usesDomains, config.adaptationDomains.isEmpty {
      throw ConfigError(
        file: "config", key: "adaptation_domains", reason: "is missing, and the adapter in \(path) has none",
        remedy: "name the domains that rows have in \"\(config.adaptationDomainField)\"")
    }
    lora.domains = Domains(config)
    // What the adapter has of them goes before what is fresh.
    let domains = lora.domains?.freshTensors(model: model.configuration, seed: config.seed)
    let known = domains?.merging(adapter.heads.filter { domains?[$0.key] != nil }) { $1 }
    let balance = TrainableModel.balanceTensors(configuration: model.configuration, specification: lora)
    self.init(
      config: config, trainable: .lora(lora),
      values: adapter.tensors.merging(adapter.replaced) { pair, _ in pair }.merging(heads.tensors) {
        pair, _ in pair
      }.merging(balance) { $1 }.merging(known ?? [:]) { $1 })
  }
}

extension Domains {
  /// - Returns: nil where nothing depends on domains.
  fileprivate init?(_ config: NestedLearningConfig) {
    guard config.adaptationAdversary > 0 || config.adaptationNorms != .none else { return nil }
    self.init(
      names: config.adaptationDomains, hasDiscriminator: config.adaptationAdversary > 0,
      norms: Norms(rawValue: config.adaptationNorms.rawValue) ?? .none, field: config.adaptationDomainField)
  }
}
