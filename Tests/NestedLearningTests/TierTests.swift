import JSON
import Testing

@testable import NestedLearning

/// LoRA parameters on the named projections of these layers.
private func lora(_ layers: [Int], _ projections: [String] = ["q_proj", "v_proj"]) -> [TrainableParameter] {
  layers.flatMap { layer in
    projections.flatMap { projection in
      ["lora_a", "lora_b"].map { matrix in
        let module = "model.layers.\(layer).self_attn.\(projection)"
        return TrainableParameter(name: "\(module).\(matrix)", module: module, layer: layer, count: 10)
      }
    }
  }
}

private func layersPerTier(_ scheduler: ParameterTierScheduler) -> [[Int]] {
  scheduler.tiers.map { tier in
    Set(tier.parameters.compactMap { $0.split(separator: ".").compactMap { Int($0) }.first }).sorted()
  }
}

private func failure(_ config: NestedLearningConfig, _ parameters: [TrainableParameter]) -> String {
  do {
    _ = try ParameterTierScheduler(config: config, parameters: parameters)
    return "no error"
  } catch {
    return error.description
  }
}

@Suite struct TierAssignmentTests {
  /// Heads of tasks learn with tier 0, however the transformer is divided, which is as it would be without them; a
  /// pattern of `manual_tier_map` may say otherwise.
  @Test(arguments: [TierAssignmentStrategy.layerDepth, .moduleType, .random, .manual])
  func headsAreOfTheFastestTier(strategy: TierAssignmentStrategy) throws {
    let heads = ["heads.a.score", "heads.b.dense", "heads"].map {
      TrainableParameter(name: "\($0).weight", module: $0, layer: nil, count: 4)
    }
    let shared = lora(Array(0..<6), ["q_proj", "up_proj"])
    var config = config()
    config.tierOrder = .deepFast
    config.tierAssignmentStrategy = strategy
    if strategy == .moduleType { (config.numTiers, config.tierUpdateFrequencies) = (2, [1, 2]) }
    if strategy == .moduleType {
      config.moduleTypeTiers = [("attention", 1), ("up_proj", 0)].map(ModuleTypeTier.init)
    }
    if strategy == .manual {
      config.manualTierMap = ManualTierMap(
        entries: [("*.0.*", 0), ("heads.b.*", 2), ("*.q_proj", 1)].map { .init(pattern: $0.0, tier: $0.1) })
      config.defaultTier = 2
    }
    let plain = try ParameterTierScheduler(config: config, parameters: shared)
    let scheduler = try ParameterTierScheduler(config: config, parameters: shared + heads)
    for parameter in shared { #expect(scheduler.tier(of: parameter.name) == plain.tier(of: parameter.name)) }
    #expect(heads.map { scheduler.tier(of: $0.name) } == [0, strategy == .manual ? 2 : 0, 0])
  }

  /// The reference: 24 layers make 8, 8, 8; of 28 the last tier takes the remainder.
  @Test(arguments: [(24, [8, 8, 8]), (28, [9, 9, 10]), (3, [1, 1, 1]), (5, [1, 1, 3])])
  func layersAreDividedByDepth(layers: Int, sizes: [Int]) throws {
    let scheduler = try ParameterTierScheduler(config: config(), parameters: lora(Array(0..<layers)))
    #expect(layersPerTier(scheduler).map(\.count) == sizes)
    #expect(layersPerTier(scheduler).flatMap(\.self) == Array(0..<layers))
    let deep = try ParameterTierScheduler(
      config: config { $0.tierOrder = .deepFast }, parameters: lora(Array(0..<layers)))
    #expect(layersPerTier(deep) == layersPerTier(scheduler).reversed())
  }

  /// Cutting the sorted list of the 112 parameters of 28 layers in three would split pairs: 37, 37, 38.
  @Test func modulesStayWhole() throws {
    let scheduler = try ParameterTierScheduler(config: config(), parameters: lora(Array(0..<28)).shuffled())
    #expect(scheduler.tiers.map(\.parameters.count) == [36, 36, 40])
    #expect(scheduler.tiers.map(\.parameterCount) == [360, 360, 400])
    for tier in scheduler.tiers {
      #expect(tier.parameters.filter { $0.hasSuffix("lora_a") }.count * 2 == tier.parameters.count)
      #expect(tier.parameters == tier.parameters.sortedByBytes())
    }
  }

  /// An adapter of the last six of 24 layers: depth counts among these.
  @Test func depthIsAmongTheAdaptedLayers() throws {
    let scheduler = try ParameterTierScheduler(config: config(), parameters: lora(Array(18..<24)))
    #expect(layersPerTier(scheduler) == [[18, 19], [20, 21], [22, 23]])
  }

  @Test(arguments: [(TierOrder.shallowFast, [0, 0, 1, 2, 2, 2]), (.deepFast, [2, 2, 1, 0, 0, 0])])
  func embeddingsGoFirstAndHeadsLast(order: TierOrder, tiers: [Int]) throws {
    let names = [
      "model.embed_tokens", "model.layers.0.mlp", "model.layers.1.mlp", "model.layers.2.mlp",
      "model.norm", "lm_head",
    ]
    let layers = [nil, 0, 1, 2, nil, nil]
    let parameters = zip(names, layers).map {
      TrainableParameter(name: $0 + ".weight", module: $0, layer: $1, count: 1)
    }
    let scheduler = try ParameterTierScheduler(
      config: config { $0.tierOrder = order }, parameters: parameters)
    #expect(names.map { scheduler.tier(of: $0 + ".weight") } == tiers)
    #expect(scheduler.tier(of: "model.layers.0") == nil)
  }

  @Test func patternsChooseTiersAndTheFirstMatchWins() throws {
    let map = ManualTierMap(entries: [
      .init(pattern: "model.layers.0.self_attn.q_proj", tier: 2), .init(pattern: "*.q_proj", tier: 0),
      .init(pattern: "*", tier: 1),
    ])
    let manual = config {
      $0.tierAssignmentStrategy = .manual
      $0.manualTierMap = map
    }
    let scheduler = try ParameterTierScheduler(config: manual, parameters: lora([0, 1]))
    #expect(scheduler.tier(of: "model.layers.0.self_attn.q_proj.lora_b") == 2)
    #expect(scheduler.tier(of: "model.layers.1.self_attn.q_proj.lora_a") == 0)
    #expect(scheduler.tier(of: "model.layers.1.self_attn.v_proj.lora_a") == 1)
  }

  @Test func attentionIsFastAndTheRestSlow() throws {
    let names = [
      "model.embed_tokens", "model.layers.0.input_layernorm", "model.layers.0.self_attn.q_proj",
      "model.layers.0.mlp.down_proj", "model.layers.0.mlp.up_proj", "model.norm",
    ]
    let parameters = names.map {
      TrainableParameter(name: $0 + ".weight", module: $0, layer: $0.contains("layers") ? 0 : nil, count: 1)
    }
    func tiers(_ entries: [(String, Int)], count: Int) throws -> [Int?] {
      let types = config {
        $0.tierAssignmentStrategy = .moduleType
        $0.numTiers = count
        $0.tierUpdateFrequencies = (0..<count).map { 1 << $0 }
        $0.moduleTypeTiers = entries.map { ModuleTypeTier(name: $0.0, tier: $0.1) }
      }
      let scheduler = try ParameterTierScheduler(config: types, parameters: parameters)
      return names.map { scheduler.tier(of: $0 + ".weight") }
    }
    #expect(try tiers([], count: 2) == [1, 1, 0, 1, 1, 1])
    // The name of a module counts before its type.
    #expect(
      try tiers([("attention", 2), ("mlp", 1), ("other", 1), ("down_proj", 0)], count: 3) == [
        1, 1, 2, 0, 1, 1,
      ])
    func reason(_ entries: [(String, Int)]) -> String {
      do { _ = try tiers(entries, count: 2) } catch { return "\(error)" }
      return "no error"
    }
    #expect(
      reason([("attention", 0), ("mlp", 1)])
        == "model.embed_tokens has no tier in module_type_tiers, by its name embed_tokens or its type other; "
        + #"add "other" to module_type_tiers"#)
    #expect(
      reason([("attention", 0), ("mlp", 1), ("other", 1), ("w_proj", 0)]).hasPrefix(
        #""w_proj" of module_type_tiers is no module that is trained"#))
  }

  /// As many modules a tier as there can be, whole ones, by the seed alone.
  @Test func randomTiersAreOfTheirSeed() throws {
    func scheduler(_ seed: UInt64, own: UInt64? = nil, _ parameters: [TrainableParameter]) throws
      -> ParameterTierScheduler
    {
      try ParameterTierScheduler(
        config: config {
          $0.tierAssignmentStrategy = .random
          $0.seed = seed
          $0.tierSeed = own
        }, parameters: parameters)
    }
    let parameters = lora(Array(0..<7))
    let first = try scheduler(42, parameters)
    #expect(first.tiers.map(\.parameters.count) == [8, 8, 12])
    for tier in first.tiers {
      #expect(Set(tier.parameters.map { $0.dropLast() }).count * 2 == tier.parameters.count)
    }
    #expect(try scheduler(42, parameters.shuffled()).tiers == first.tiers)
    #expect(try scheduler(7, own: 42, parameters).tiers == first.tiers)
    #expect(try scheduler(43, parameters).tiers != first.tiers)
    #expect(layersPerTier(first) != [[0, 1], [2, 3], [4, 5, 6]])
    #expect(throws: TierError.self) { try scheduler(1, lora([0], ["q_proj"])) }
  }

  /// The reference is a glob as a regular expression with `.*` for `*`, all else literal.
  @Test(arguments: [
    ("*", "", true), ("", "", true), ("", "a", false), ("a*", "a.b.c", true), ("*c", "a.b.c", true),
    ("a*c", "ac", true), ("a*c", "a", false), ("ab*ba", "aba", false), ("*.0.*", "layers.0.q", true),
    ("*.0.*", "layers.10.q", false), ("*.1*.q", "layers.10.q", true), ("a*b*c", "a.bb.cb.c", true),
    ("a*b*c", "a.cc", false), ("**", "x", true), ("*aab*", "aaab", true), ("q?", "qx", false),
    ("q", "qq", false),
  ])
  func starsMatchAnything(pattern: String, text: String, expected: Bool) {
    #expect(Glob(pattern).matches(text) == expected)
  }

  @Test func whatCannotBeDividedIsNamed() {
    func manual(_ entries: [ManualTierMap.Entry], ordered: Bool = true, defaultTier: Int? = nil)
      -> NestedLearningConfig
    {
      config {
        $0.tierAssignmentStrategy = .manual
        $0.manualTierMap = ManualTierMap(entries: entries, isOrdered: ordered)
        $0.defaultTier = defaultTier
      }
    }
    #expect(
      failure(config(), lora([0, 1])) == "3 tiers are more than the 2 layers to be trained; "
        + "set num_tiers to at most 2, or use tier_assignment_strategy manual")
    #expect(
      failure(manual([.init(pattern: "*.q_proj", tier: 0)]), lora([0]))
        == "model.layers.0.self_attn.v_proj.lora_a matches no pattern of manual_tier_map; "
        + "add a pattern for model.layers.0.self_attn.v_proj, or set default_tier")
    #expect(
      failure(manual([.init(pattern: "*.q_proj", tier: 0)], defaultTier: 2), lora([0]))
        == "tier 1 of 3 has no parameters; let a pattern of manual_tier_map lead to it, or lower num_tiers")
    #expect(
      failure(
        manual([.init(pattern: "*.q_proj", tier: 0), .init(pattern: "*.0.*", tier: 1)], ordered: false),
        lora([0]))
        == #"model.layers.0.self_attn.q_proj matches both "*.q_proj" and "*.0.*" of manual_tier_map, whose members have "#
        + "no order; write manual_tier_map as a list of {pattern, tier}, in which the first match wins")
    #expect(failure(config(), []).hasPrefix("there is nothing to train"))
    #expect(failure(config(), lora([0, 1, 2, 2])).hasPrefix("two parameters have the name model.layers.2."))
  }
}

@Suite struct TierClockTests {
  @Test func aTierIsActiveEveryFSteps() throws {
    let scheduler = try ParameterTierScheduler(config: config(), parameters: lora([0, 1, 2]))
    #expect(
      (1...8).map { scheduler.activeTiers(at: $0) } == [
        [0], [0, 1], [0], [0, 1, 2], [0], [0, 1], [0], [0, 1, 2],
      ])
    let slow = config { $0.tierUpdateFrequencies = [2, 2, 3] }
    let none = try ParameterTierScheduler(config: slow, parameters: lora([0, 1, 2]))
    #expect((1...6).map { none.activeTiers(at: $0) } == [[], [0, 1], [2], [0, 1], [], [0, 1, 2]])
  }

  @Test func aPhaseShiftsTheClock() {
    let tier = Tier(index: 0, frequency: 4, phase: 1, parameters: [], parameterCount: 0)
    #expect((1...9).filter(tier.isActive) == [1, 5, 9])
  }

  /// phase_k = k mod f_k: with the periods 1, 2, 4 no two slow tiers meet, with 1, 1, 2 they do.
  @Test func staggeredTiersMeetSeldom() throws {
    let staggered = config { $0.tierPhase = .staggered }
    let scheduler = try ParameterTierScheduler(config: staggered, parameters: lora([0, 1, 2]))
    #expect(scheduler.tiers.map(\.phase) == [0, 1, 2])
    #expect(
      (1...7).map { scheduler.activeTiers(at: $0) } == [
        [0, 1], [0, 2], [0, 1], [0], [0, 1], [0, 2], [0, 1],
      ])
    #expect(TierPhase.staggered.phases(frequencies: [1, 1, 2, 2]) == [0, 0, 0, 1])
    let listed = config { $0.tierPhase = .list([0, 1, 3]) }
    let other = try ParameterTierScheduler(config: listed, parameters: lora([0, 1, 2]))
    #expect((1...4).map { other.activeTiers(at: $0) } == [[0, 1], [0], [0, 1, 2], [0]])
  }

  /// The reference counts the steps at which the tier is active.
  @Test func updatesAreCounted() {
    for frequency in 1...7 {
      for phase in 0..<frequency {
        let tier = Tier(index: 0, frequency: frequency, phase: phase, parameters: [], parameterCount: 0)
        for steps in 0...30 {
          #expect(tier.updates(in: steps) == (1...31).filter { $0 <= steps && tier.isActive(at: $0) }.count)
        }
      }
    }
  }

  @Test func aTierThatDoesNotMoveIsTold() throws {
    let scheduler = try ParameterTierScheduler(
      config: config {
        $0.tierUpdateFrequencies = [1, 64, 256]
        $0.tierPhase = .list([0, 3, 0])
      }, parameters: lora([0, 1, 2]))
    #expect(
      scheduler.movementWarnings(numSteps: 196) == [
        "tier 1 hardly moves: it is updated every 64 steps from step 3 on, 4 times in the run's 196 steps",
        "tier 2 does not move: it is updated every 256 steps, which is beyond the run's 196 steps; lower its period in "
          + "tier_update_frequencies, or raise num_steps",
      ])
    #expect(scheduler.movementWarnings(numSteps: 2560) == [])
    #expect(scheduler.movementWarnings(numSteps: 2559).count == 1)
  }

  @Test func statisticsAreAsDocumented() throws {
    let scheduler = try ParameterTierScheduler(config: config(), parameters: lora([0, 1, 2, 3]))
    #expect(
      scheduler.statistics(globalStep: 5, updateCounts: [5, 2, 1]).text
        == #"{"global_step":5,"tier_update_counts":[5, 2, 1],"tier_update_frequencies":[1, 2, 4],"tier_parameters":"#
        + #"{"tier_0":{"frequency":1,"phase":0,"update_count":5,"parameter_count":40},"#
        + #""tier_1":{"frequency":2,"phase":0,"update_count":2,"parameter_count":40},"#
        + #""tier_2":{"frequency":4,"phase":0,"update_count":1,"parameter_count":80}}}"#)
  }

  @Test func ratesAreScaledByTier() throws {
    func scales(_ scale: TierLearningRateScale) throws -> [Double] {
      let scheduler = try ParameterTierScheduler(
        config: config { $0.tierLrScale = scale }, parameters: lora([0, 1, 2]))
      return scheduler.tiers.map { scheduler.learningRateScale($0.index) }
    }
    #expect(try scales(.none) == [1, 1, 1])
    #expect(try scales(.inverseFrequency) == [1, 0.5, 0.25])
    #expect(try scales(.list([3, 2, 0])) == [3, 2, 0])
  }
}
