/// Which tier each parameter goes to.
enum TierAssignment {
  /// The tier of each parameter, in their order.
  ///
  /// - Parameter importance: of each module, for `parameter_importance`.
  static func tiers(
    config: NestedLearningConfig, parameters: [TrainableParameter], importance: [String: Double]?
  ) throws(TierError) -> [Int] {
    let shared = parameters.filter { !isHead($0.module) }
    guard shared.count < parameters.count else {
      return try tiers(config: config, shared: parameters, importance: importance)
    }
    let assigned = try tiers(config: config, shared: shared, importance: importance)
    let tierOf = Dictionary(uniqueKeysWithValues: zip(shared.map(\.name), assigned))
    let map = config.tierAssignmentStrategy == .manual ? config.manualTierMap?.entries ?? [] : []
    return parameters.map { parameter in
      tierOf[parameter.name] ?? map.first { Glob($0.pattern).matches(parameter.module) }?.tier ?? 0
    }
  }

  /// Heads of tasks, and what tells domains, learn at every step of the fastest tier, unless `manual_tier_map` says otherwise.
  private static func isHead(_ module: String) -> Bool {
    ["heads", "discriminator"].contains { module == $0 || module.hasPrefix($0 + ".") }
  }

  private static func tiers(
    config: NestedLearningConfig, shared parameters: [TrainableParameter], importance: [String: Double]?
  ) throws(TierError) -> [Int] {
    switch config.tierAssignmentStrategy {
    case .layerDepth:
      return try byDepth(parameters, tierCount: config.numTiers, order: config.tierOrder)
    case .manual:
      return try byName(
        parameters, map: config.manualTierMap ?? ManualTierMap(entries: []), defaultTier: config.defaultTier,
        tierCount: config.numTiers)
    case .parameterImportance:
      return try byImportance(parameters, importance: importance ?? [:], tierCount: config.numTiers)
    case .moduleType:
      return try byType(parameters, tiers: config.moduleTypeTiers, tierCount: config.numTiers)
    case .random:
      return try atRandom(parameters, tierCount: config.numTiers, seed: config.tierSeed ?? config.seed)
    }
  }

  /// With L layers that have parameters and K tiers, the layer at place i goes to tier min(⌊i/⌊L/K⌋⌋, K − 1):
  /// the last tier takes the remainder.
  static func byDepth(
    _ parameters: [TrainableParameter], tierCount: Int, order: TierOrder
  ) throws(TierError) -> [Int] {
    let layers = Set(parameters.compactMap(\.layer)).sorted()
    guard layers.count >= tierCount else {
      throw TierError(
        reason: "\(tierCount) tiers are more than the \(layers.count) layers to be trained",
        remedy: "set num_tiers to at most \(layers.count), or use tier_assignment_strategy manual")
    }
    let perTier = layers.count / tierCount
    let place = Dictionary(uniqueKeysWithValues: layers.enumerated().map { ($1, $0) })
    return parameters.map { parameter in
      let i =
        parameter.layer.flatMap { place[$0] } ?? (isEmbedding(parameter.module) ? 0 : layers.count - 1)
      let tier = min(i / perTier, tierCount - 1)
      return order == .shallowFast ? tier : tierCount - 1 - tier
    }
  }

  /// Embeddings (and with them a tied head) stand before the first layer; the final norm and a head of its own
  /// after the last.
  static func isEmbedding(_ module: String) -> Bool {
    module.split(separator: ".").last?.hasPrefix("embed") ?? false
  }

  static func byName(
    _ parameters: [TrainableParameter], map: ManualTierMap, defaultTier: Int?, tierCount: Int
  ) throws(TierError) -> [Int] {
    var tiers: [Int] = []
    for parameter in parameters {
      guard let tier = try match(parameter, map, name: "manual_tier_map")?.tier ?? defaultTier else {
        throw TierError(
          reason: "\(parameter.name) matches no pattern of manual_tier_map",
          remedy: "add a pattern for \(parameter.module), or set default_tier")
      }
      guard (0..<tierCount).contains(tier) else {
        throw TierError(
          reason: "\(parameter.name) would go to tier \(tier) of \(tierCount)",
          remedy: "tiers are numbered from 0 to \(tierCount - 1)")
      }
      tiers.append(tier)
    }
    return tiers
  }

  /// The entry of a map that says where a parameter is; nil if none does.
  ///
  /// - Parameter name: of the map, for errors.
  /// - Throws: `TierError` if two do, of a map without order.
  static func match(
    _ parameter: TrainableParameter, _ map: ManualTierMap, name: String
  ) throws(TierError) -> ManualTierMap.Entry? {
    let matches = map.entries.filter { Glob($0.pattern).matches(parameter.module) }
    if !map.isOrdered, matches.count > 1 {
      throw TierError(
        reason:
          "\(parameter.module) matches both \"\(matches[0].pattern)\" and \"\(matches[1].pattern)\" of \(name), "
          + "whose members have no order",
        remedy: "write \(name) as a list of {pattern, tier}, in which the first match wins")
    }
    return matches.first
  }
}

/// A pattern in which `*` stands for any run of bytes, also none, and every other byte for itself.
struct Glob {
  private let parts: [[UInt8]]

  init(_ pattern: String) {
    parts = pattern.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(Array.init)
  }

  func matches(_ text: String) -> Bool {
    var rest = Array(text.utf8)[...]
    guard let first = parts.first, let last = parts.last else { return rest.isEmpty }
    guard parts.count > 1 else { return rest.elementsEqual(first) }
    guard rest.starts(with: first), rest.count >= first.count + last.count,
      rest.suffix(last.count) == last[...]
    else { return false }
    rest = rest.dropFirst(first.count).dropLast(last.count)
    // The leftmost place for each part leaves most to the next ones.
    for part in parts.dropFirst().dropLast() where !part.isEmpty {
      guard let end = Self.end(of: part, in: rest) else { return false }
      rest = rest[end...]
    }
    return true
  }

  private static func end(of part: [UInt8], in text: ArraySlice<UInt8>) -> Int? {
    guard text.count >= part.count else { return nil }
    for start in text.startIndex...(text.endIndex - part.count)
    where text[start..<(start + part.count)] == part[...] {
      return start + part.count
    }
    return nil
  }
}
