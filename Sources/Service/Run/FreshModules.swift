import LanguageModel
import NestedLearning

/// The modules of a fresh adapter: those of the model that the config's keys name, with their ranks and α.
struct FreshModules {
  let config: NestedLearningConfig
  let model: ModelConfiguration

  /// The keys beside `lora_target_modules` that say which modules and with what rank.
  static let keys = [
    "exclude_modules", "layers_to_transform", "num_layers", "rank_pattern", "alpha_pattern",
    "modules_to_save", "add_tokens",
  ]

  func specification() throws -> LoRASpecification {
    let targets = try pattern("lora_target_modules") { () throws(ModulePatternError) in
      try ModuleTargets(selection, excluded: excluded, saved: savedModules)
    }
    let layers = try layers()
    let modules = model.linearModules.filter { layers.contains($0.layer) && targets.contains($0) }
    guard !modules.isEmpty else {
      throw fault(
        "lora_target_modules", "names no linear layer of this model, or all that it names are left out")
    }
    let ranks = try map(config.rankPattern, "rank_pattern", modules)
    let alphas = try map(config.alphaPattern, "alpha_pattern", modules)
    var specification = LoRASpecification(
      modules: Dictionary(
        uniqueKeysWithValues: modules.map {
          (
            $0,
            (rank: ranks.value(for: $0) ?? config.loraRank, alpha: alphas.value(for: $0) ?? config.loraAlpha)
          )
        }), rank: config.loraRank, alpha: config.loraAlpha, useRSLoRA: config.useRslora,
      dropout: Float(config.loraDropout))
    specification.trainedTensors = try trainedTensors()
    if !config.addTokens.isEmpty { specification.vocabularyRows = model.vocabularySize }
    return specification
  }

  /// New tokens are of use only where their rows are trained.
  private var savedModules: [String] {
    let rows = config.addTokens.isEmpty ? [] : ["embed_tokens", "lm_head"]
    return config.modulesToSave + rows.filter { !config.modulesToSave.contains($0) }
  }

  private func trainedTensors() throws -> [String] {
    for name in config.modulesToSave where model.tensors(ofModules: [name]).isEmpty {
      throw fault("modules_to_save", "\"\(name)\" is no module of this model")
    }
    return model.tensors(ofModules: savedModules)
  }

  private var selection: ModuleTargets.Selection {
    config.loraTargetPattern.map { .init(text: $0) } ?? .names(config.loraTargetModules)
  }

  private var excluded: ModuleTargets.Selection? {
    switch config.excludeModules {
    case nil: nil
    case .names(let names): .names(names)
    case .pattern(let text): .pattern(text)
    }
  }

  private func layers() throws -> Set<Int> {
    let all = 0..<model.layerCount
    if let count = config.numLayers {
      guard count <= model.layerCount else {
        throw fault("num_layers", "is \(count), but the model has \(model.layerCount) layers")
      }
      guard config.layersToTransform == nil else {
        throw fault("num_layers", "and layers_to_transform both say which layers; leave out one of them")
      }
      return Set(all.suffix(count))
    }
    guard let layers = config.layersToTransform else { return Set(all) }
    if let strange = layers.first(where: { !all.contains($0) }) {
      throw fault(
        "layers_to_transform",
        "there is no layer \(strange); the model has the layers 0 to \(model.layerCount - 1)")
    }
    return Set(layers)
  }

  /// A pattern that no module matches would change nothing, in silence.
  private func map<Value: Sendable & Equatable>(
    _ entries: [ModuleValue<Value>], _ key: String, _ modules: [LoRAModule]
  ) throws -> ModulePatternMap<Value> {
    let map = try pattern(key) { () throws(ModulePatternError) in
      try ModulePatternMap(entries.map { (key: $0.pattern, value: $0.value) })
    }
    if let unused = map.unusedKey(among: modules) {
      throw fault(key, "\"\(unused)\" matches no module that gets a LoRA pair")
    }
    return map
  }

  private func pattern<Result>(
    _ key: String, _ body: () throws(ModulePatternError) -> Result
  ) throws -> Result {
    do throws(ModulePatternError) { return try body() } catch { throw fault(key, error.description) }
  }

  private func fault(_ key: String, _ reason: String) -> ConfigError {
    ConfigError(file: "config", key: key, reason: reason)
  }
}
