import JSON

/// A tensor that is trained, as the scheduler sees it.
public struct TrainableParameter: Sendable, Equatable {
  /// e.g. `model.layers.0.self_attn.q_proj.lora_a`
  public let name: String
  /// The name of the module it belongs to, e.g. `model.layers.0.self_attn.q_proj`. Parameters of one module are
  /// never divided.
  public let module: String
  /// The number of the transformer block; nil for what stands before the first or after the last.
  public let layer: Int?
  /// How many numbers it has.
  public let count: Int

  public init(name: String, module: String, layer: Int?, count: Int) {
    self.name = name
    self.module = module
    self.layer = layer
    self.count = count
  }

  /// Whether it stands before the first block; what else is in no block stands after the last.
  var isEmbedding: Bool { layer == nil && TierAssignment.isEmbedding(module) }
}

/// A set of parameters and how often they are updated.
public struct Tier: Sendable, Equatable {
  public let index: Int
  /// Its periods, one after the other; a tier of a run whose plan never changes has one.
  public internal(set) var clock: TierClock
  /// Names, sorted by their UTF-8 bytes.
  public let parameters: [String]
  /// How many numbers these parameters have together.
  public let parameterCount: Int
  /// The first step (1-based) that may update it; `Tier.never` for one that is frozen.
  public let firstStep: Int

  /// The first step of what is never updated.
  public static let never = Int.max

  /// - Parameter configTier: nil: `index`.
  public init(
    index: Int, frequency: Int, phase: Int, parameters: [String], parameterCount: Int, firstStep: Int = 1,
    configTier: Int? = nil
  ) {
    self.index = index
    clock = TierClock(frequency: frequency, phase: phase, configTier: configTier ?? index)
    self.parameters = parameters
    self.parameterCount = parameterCount
    self.firstStep = firstStep
  }

  /// The tier of the config that it is part of, as the newest plan has it. Where layers begin to learn at different steps,
  /// or stages of a curriculum move some of a tier's modules elsewhere, those of one tier of the config are several tiers:
  /// what is in one has the same history.
  public var configTier: Int { clock.newest.configTier }

  /// The tier of the config that it is part of at step `step` (1-based).
  public func configTier(at step: Int) -> Int { clock.stretch(at: step).configTier }

  /// Steps between updates, f, as the newest plan has it.
  public var frequency: Int { clock.newest.frequency }
  /// The step, modulo f, at which the tier is updated by the newest plan; 0 makes that steps f, 2f, ….
  public var phase: Int { clock.newest.phase }

  /// The period that is in force at step `step` (1-based).
  public func frequency(at step: Int) -> Int { clock.stretch(at: step).frequency }

  /// Whether it is never updated.
  public var isFrozen: Bool { firstStep == Self.never }

  /// Whether gradients of step `step` (1-based) can be of use to it.
  public func learns(at step: Int) -> Bool { step >= firstStep }

  /// Whether step `step` (1-based) updates the tier: (step − phase) mod f = 0, from its first step on.
  public func isActive(at step: Int) -> Bool { learns(at: step) && clock.isBoundary(step) }

  /// Whether gradients of step `step` wait for a later one.
  public func hasOpenWindow(after step: Int) -> Bool { step > 0 && learns(at: step) && !isActive(at: step) }
}

/// Why parameters cannot be divided into tiers.
public struct TierError: Error, Sendable, Equatable, CustomStringConvertible {
  public let reason: String
  public let remedy: String

  public var description: String { "\(reason); \(remedy)" }
}

/// Divides parameters into tiers, and says at which steps and with which rate each tier is updated.
public struct ParameterTierScheduler: Sendable {
  /// What is updated together. With `tier_mode: consolidate` that is everything, in one tier, at each step.
  public internal(set) var tiers: [Tier]
  /// The periods of the copies of `tier_mode: consolidate`, of which the first is what the steps update; nil otherwise.
  public let copyFrequencies: [Int]?
  /// By stage of the curriculum, which tier of the config each tier is part of; a single one where nothing moves.
  let stages: [[Int]]
  /// That of the run.
  let lastStep: Int
  private let tierOfName: [String: Int]
  private let learningRateScale: TierLearningRateScale
  /// By parameter, what its tier's rate is multiplied by; what is not here has 1.
  public let rateScales: [String: Double]

  /// - Parameters:
  ///   - importance: by module, the mean norm of its gradients; for `parameter_importance` alone.
  ///   - layerCount: blocks of the model; nil: as many as the parameters tell of.
  ///   - epochStart: the first step after so many epochs; for what begins to learn by epochs.
  /// - Throws: `TierError` if a tier would be empty, a parameter matches no pattern, or two parameters have one
  ///   name.
  public init(
    config: NestedLearningConfig, parameters: [TrainableParameter], importance: [String: Double]? = nil,
    layerCount: Int? = nil, epochStart: ((Int) -> Int)? = nil
  ) throws(TierError) {
    let (tierCount, frequencies) = (config.numTiers, config.initialFrequencies)
    guard tierCount == frequencies.count, frequencies.allSatisfy({ $0 > 0 })
    else {
      throw TierError(
        reason: "\(tierCount) tiers and the frequencies \(frequencies) do not fit together",
        remedy: "give a frequency of at least 1 for each tier")
    }
    guard !parameters.isEmpty else {
      throw TierError(
        reason: "there is nothing to train", remedy: "name the layers to adapt in lora_target_modules")
    }
    let isConsolidating = config.tierMode == .consolidate
    let assignment =
      try isConsolidating
      ? parameters.map { _ in 0 }
      : TierAssignment.tiers(
        config: config, parameters: parameters, importance: importance)
    try Self.checkNames(parameters)
    let stageTiers = try StageTiers(
      config: config, parameters: parameters, base: assignment, tierCount: isConsolidating ? 1 : tierCount)
    let phases = config.tierPhase.phases(frequencies: frequencies)
    guard phases.count == tierCount else {
      throw TierError(
        reason: "\(tierCount) tiers and the phases \(phases) do not fit together",
        remedy: "give a phase for each tier")
    }
    let thawing = try Thawing(config: config, parameters: parameters, epochStart: epochStart)
    let histories = parameters.enumerated().map { place, parameter in
      TierHistory(
        configTier: stageTiers.stages[0][place], firstStep: thawing.firstStep(of: parameter),
        later: stageTiers.stages.dropFirst().map { $0[place] })
    }
    let groups = Dictionary(grouping: parameters.indices) { histories[$0] }.sorted { $0.key < $1.key }
    guard groups.count <= Self.mostTiers else {
      throw TierError(
        reason: "parameters have \(groups.count) histories, and there can be \(Self.mostTiers) tiers",
        remedy: "let more of them begin to learn, or move in stages of the curriculum, together")
    }
    let tiers = groups.enumerated().map { index, group in
      let (history, members) = (group.key, group.value.map { parameters[$0] })
      return Tier(
        index: index, frequency: frequencies[history.configTier], phase: phases[history.configTier],
        parameters: members.map(\.name).sortedByBytes(), parameterCount: members.reduce(0) { $0 + $1.count },
        firstStep: history.firstStep, configTier: history.configTier)
    }
    guard tiers.contains(where: { !$0.isFrozen }) else {
      throw TierError(
        reason: "freeze leaves nothing to train",
        remedy: "leave a layer out of it that has trained parameters")
    }
    var tierOfName: [String: Int] = [:]
    for tier in tiers { for name in tier.parameters { tierOfName[name] = tier.index } }
    try GradNorm.check(config, tierOfName: tierOfName)
    self.tiers = tiers
    stages = stageTiers.stages.indices.map { stage in
      groups.map { stage == 0 ? $0.key.configTier : $0.key.later[stage - 1] }
    }
    lastStep = config.numSteps
    copyFrequencies = isConsolidating ? config.tierUpdateFrequencies : nil
    self.tierOfName = tierOfName
    learningRateScale = config.tierLrScale
    rateScales = try LayerRates(config: config, parameters: parameters, layerCount: layerCount).scales
  }

  /// As many as a coordinator can tell its workers of.
  private static let mostTiers = 1024

  private static func checkNames(_ parameters: [TrainableParameter]) throws(TierError) {
    var names = Set<String>()
    if let twice = parameters.first(where: { !names.insert($0.name).inserted }) {
      throw TierError(
        reason: "two parameters have the name \(twice.name)", remedy: "give each tensor a name of its own")
    }
  }

  /// The tiers that step `step` (1-based) updates, ascending.
  public func activeTiers(at step: Int) -> [Int] { tiers.filter { $0.isActive(at: step) }.map(\.index) }

  /// The tiers that gradients of step `step` (1-based) can be of use to, ascending.
  public func learningTiers(at step: Int) -> [Int] { tiers.filter { $0.learns(at: step) }.map(\.index) }

  /// The tiers that have a window open after a step, ascending; none before the first step.
  public func openTiers(after step: Int) -> [Int] {
    tiers.filter { $0.hasOpenWindow(after: step) }.map(\.index)
  }

  /// The tier of a parameter; nil if there is no such parameter.
  public func tier(of name: String) -> Int? { tierOfName[name] }

  /// What the scheduled learning rate is multiplied by for a tier.
  ///
  /// - Parameter step: at which (1-based), as it may go by the period; nil: by the newest plan.
  public func learningRateScale(_ tier: Int, at step: Int? = nil) -> Double {
    guard tiers.indices.contains(tier) else { return 1 }
    let clock = tiers[tier].clock
    let stretch = step.map { clock.stretch(at: $0) } ?? clock.newest
    return learningRateScale.scale(tier: stretch.configTier, frequency: stretch.frequency)
  }

  /// Whether parameters go to another tier of the config in the course of the run.
  public var movesParameters: Bool { stages.contains { $0 != stages[0] } }

  /// By tier, the tier of the config that it is part of in a stage of the curriculum, from 0; nil: nothing moves.
  public func configTiers(ofStage stage: Int) -> [Int]? {
    movesParameters && stages.indices.contains(stage) ? stages[stage] : nil
  }

  /// All parameters, sorted by the UTF-8 bytes of their names.
  public var parameters: [String] { tierOfName.keys.sortedByBytes() }

  /// `tier_stats` of metrics and checkpoints.
  ///
  /// - Parameter updateCounts: updates applied so far, one count a tier.
  public func statistics(globalStep: Int, updateCounts: [Int]) -> JSONValue {
    let shown = shownTiers
    let counts = shown.indices.map { index in
      if copyFrequencies != nil { return globalStep / shown[index].frequency }
      return updateCounts.indices.contains(index) ? updateCounts[index] : 0
    }
    return [
      "global_step": .number(globalStep),
      "tier_update_counts": .numbers(counts),
      "tier_update_frequencies": .numbers(shown.map(\.frequency)),
      "tier_parameters": .object(
        JSONObject(
          shown.indices.map { index in
            var members = shown[index].statistics(updateCount: counts[index])
            if movesParameters { members["config_tier"] = .number(shown[index].configTier) }
            return .init(key: "tier_\(index)", value: .object(members))
          })),
    ]
  }

  /// Tiers as people know them: those of the config. Where they are copies, each has all parameters.
  public var shownTiers: [Tier] {
    guard let copyFrequencies, let all = tiers.first else { return tiers }
    return copyFrequencies.enumerated().map { level, frequency in
      Tier(
        index: level, frequency: frequency, phase: 0, parameters: all.parameters,
        parameterCount: all.parameterCount)
    }
  }
}

extension Tier {
  fileprivate func statistics(updateCount: Int) -> JSONObject {
    var members: JSONObject = [
      "frequency": .number(frequency), "phase": .number(phase), "update_count": .number(updateCount),
      "parameter_count": .number(parameterCount),
    ]
    if isFrozen {
      members["frozen"] = true
    } else if firstStep > 1 {
      members["first_step"] = .number(firstStep)
    }
    return members
  }
}

/// What decides which parameters are updated together all along.
private struct TierHistory: Hashable, Comparable {
  /// The tier of the config that they begin in.
  let configTier: Int
  let firstStep: Int
  /// Those that they are in in later stages of the curriculum.
  let later: [Int]

  static func < (a: TierHistory, b: TierHistory) -> Bool {
    (a.configTier, a.firstStep) == (b.configTier, b.firstStep)
      ? a.later.lexicographicallyPrecedes(b.later) : (a.configTier, a.firstStep) < (b.configTier, b.firstStep)
  }
}

extension Sequence<String> {
  /// Sorted by UTF-8 bytes, which does not depend on a version of Unicode.
  public func sortedByBytes() -> [String] { sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }
}
