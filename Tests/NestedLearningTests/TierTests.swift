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

  @Test func statisticsAreAsDocumented() throws {
    let scheduler = try ParameterTierScheduler(config: config(), parameters: lora([0, 1, 2, 3]))
    #expect(
      scheduler.statistics(globalStep: 5, updateCounts: [5, 2, 1]).text
        == #"{"global_step":5,"tier_update_counts":[5, 2, 1],"tier_update_frequencies":[1, 2, 4],"tier_parameters":"#
        + #"{"tier_0":{"frequency":1,"update_count":5,"parameter_count":40},"#
        + #""tier_1":{"frequency":2,"update_count":2,"parameter_count":40},"#
        + #""tier_2":{"frequency":4,"update_count":1,"parameter_count":80}}}"#)
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
