extension NestedLearningConfig {
  /// The rules between keys.
  func check(_ source: ConfigSource) throws(ConfigError) {
    guard Self.isFolderName(experimentName) else {
      throw source.error(
        "experiment_name", "\"\(experimentName)\" cannot be the name of a folder", "give one without /")
    }
    if trainable == .full, adapterPath != nil {
      throw source.error(
        "adapter_path", "an adapter cannot be loaded with trainable full", "leave out one of the two keys")
    }
    if let arithmetic, explicitKeys.contains("mixed_precision"), !mixedPrecision.allows(arithmetic) {
      throw source.error(
        "arithmetic",
        "\(arithmetic.rawValue) contradicts mixed_precision \(mixedPrecision.json.string ?? mixedPrecision.json.text)",
        "leave out mixed_precision: arithmetic says all")
    }
    try checkSchedule(source)
    try checkAdaptation(source)
    try checkDomains(source)
    try checkTiers(source)
    try checkStrategy(source)
    try checkConsolidation(source)
    try checkObjective(source)
    try checkPenalties(source)
    try checkScale(source)
    try checkTasks(source)
    try checkSampling(source)
    try checkCurriculum(source)
  }

  private func checkTiers(_ source: ConfigSource) throws(ConfigError) {
    try checkFrequencies(tierUpdateFrequencies, key: "tier_update_frequencies", source)
    if case .list(let scales) = tierLrScale, scales.count != numTiers {
      throw source.error(
        "tier_lr_scale", "has \(scales.count) values for \(numTiers) tiers (num_tiers)",
        "give one for each tier")
    }
    try checkPhases(source)
  }

  /// - Parameter key: that they stand under.
  func checkFrequencies(_ frequencies: [Int], key: String, _ source: ConfigSource) throws(ConfigError) {
    guard frequencies.count == numTiers else {
      throw source.error(
        key, "has \(frequencies.count) values for \(numTiers) tiers (num_tiers)",
        "give one for each tier" + (numTiers <= 8 ? ", as in \((0..<numTiers).map { 1 << $0 })" : ""))
    }
    if let i = zip(frequencies, frequencies.dropFirst()).enumerated().first(where: { $1.0 > $1.1 })?.offset {
      throw source.error(
        key, "\(frequencies) descends from \(frequencies[i]) to \(frequencies[i + 1])",
        "tier 0 is the fastest: sort it as \(frequencies.sorted())")
    }
  }

  private func checkStrategy(_ source: ConfigSource) throws(ConfigError) {
    try checkKeysOfOtherStrategies(source)
    switch tierAssignmentStrategy {
    case .layerDepth, .random, .parameterImportance: break
    case .moduleType: try checkModuleTypes(source)
    case .manual: try checkManualMap(source)
    }
  }

  /// A key that nothing reads would be ignored in silence.
  private func checkKeysOfOtherStrategies(_ source: ConfigSource) throws(ConfigError) {
    let owned: [(key: String, strategy: TierAssignmentStrategy, isGiven: Bool)] = [
      ("manual_tier_map", .manual, manualTierMap != nil), ("default_tier", .manual, defaultTier != nil),
      ("module_type_tiers", .moduleType, !moduleTypeTiers.isEmpty), ("tier_seed", .random, tierSeed != nil),
      ("importance_steps", .parameterImportance, importanceSteps != 100),
    ]
    for (key, strategy, isGiven) in owned where isGiven && strategy != tierAssignmentStrategy {
      throw source.error(
        key, "is only for tier_assignment_strategy \(strategy.rawValue)", "set that, or leave out \(key)")
    }
  }

  private func checkManualMap(_ source: ConfigSource) throws(ConfigError) {
    guard let map = manualTierMap else {
      throw source.error(
        "manual_tier_map", "is missing, and tier_assignment_strategy manual needs it",
        #"give a list such as [{"pattern": "*.q_proj", "tier": 0}]"#)
    }
    if let entry = map.entries.first(where: { !(0..<numTiers).contains($0.tier) }) {
      throw source.error(
        "manual_tier_map", "\"\(entry.pattern)\" goes to tier \(entry.tier) of \(numTiers) (num_tiers)",
        "tiers are numbered from 0 to \(numTiers - 1)")
    }
    if let tier = defaultTier, !(0..<numTiers).contains(tier) {
      throw source.error(
        "default_tier", "there is no tier \(tier) of \(numTiers) (num_tiers)",
        "tiers are numbered from 0 to \(numTiers - 1)")
    }
  }
}
