/// Which tier of the config each parameter is in, by stage of the curriculum.
struct StageTiers {
  /// By stage, and then by parameter, in their order; a single one where no stage moves anything.
  let stages: [[Int]]

  /// - Parameter base: where the run's own strategy has them, which is where they are unless a stage's `tier_map` says
  ///   otherwise.
  /// - Throws: `TierError` if a tier is empty in a stage, or a pattern of a `tier_map` matches nothing.
  init(
    config: NestedLearningConfig, parameters: [TrainableParameter], base: [Int], tierCount: Int
  ) throws(TierError) {
    var stages: [[Int]] = []
    for (stage, map) in config.tierMaps.enumerated() {
      let tiers = try map.map { (map) throws(TierError) in
        try Self.moved(
          base, by: map, parameters, named: "the tier_map of stage \(stage)", tierCount: tierCount)
      }
      stages.append(tiers ?? base)
      guard let empty = (0..<tierCount).first(where: { !stages[stage].contains($0) }) else { continue }
      throw TierError(
        reason: "tier \(empty) of \(tierCount) has no parameters"
          + (map == nil ? "" : " by the tier_map of stage \(stage) (curriculum_stages)"),
        remedy: "let a pattern of \(map == nil ? "manual_tier_map" : "it") lead to it, or lower num_tiers")
    }
    self.stages = stages
  }

  private static func moved(
    _ base: [Int], by map: ManualTierMap, _ parameters: [TrainableParameter], named name: String,
    tierCount: Int
  ) throws(TierError) -> [Int] {
    if let entry = map.entries.first(where: { entry in
      !parameters.contains { Glob(entry.pattern).matches($0.module) }
    }) {
      throw TierError(
        reason: "the pattern \"\(entry.pattern)\" of \(name) (curriculum_stages) matches no module",
        remedy:
          "patterns are of whole names, as in *.q_proj; the first one is \(parameters.first?.module ?? "none")"
      )
    }
    if let entry = map.entries.first(where: { !(0..<tierCount).contains($0.tier) }) {
      throw TierError(
        reason: "\"\(entry.pattern)\" of \(name) would go to tier \(entry.tier) of \(tierCount)",
        remedy: "tiers are numbered from 0 to \(tierCount - 1)")
    }
    return try zip(parameters, base).map { (parameter, tier) throws(TierError) in
      try TierAssignment.match(parameter, map, name: name)?.tier ?? tier
    }
  }
}
