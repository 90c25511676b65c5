import JSON
import Testing

@testable import NestedLearning

/// Which layers learn from which step on, and with which rates. The definitions are Howard & Ruder's (2018): the last
/// layer first, then one more; rates by layer that fall towards the first.
@Suite struct ThawingTests {
  /// Two tensors a layer, and what stands before and after the layers.
  private static let parameters: [TrainableParameter] = {
    var parameters = [
      TrainableParameter(name: "embed_tokens.weight", module: "embed_tokens", layer: nil, count: 5),
      TrainableParameter(name: "norm.weight", module: "norm", layer: nil, count: 2),
    ]
    for layer in 0..<4 {
      for half in ["a", "b"] {
        parameters.append(
          TrainableParameter(
            name: "layers.\(layer).q.lora_\(half)", module: "layers.\(layer).q", layer: layer, count: 3))
      }
    }
    return parameters
  }()

  private func scheduler(
    epochs: [Int] = [1], _ change: (inout NestedLearningConfig) -> Void
  ) throws -> ParameterTierScheduler {
    let config = config {
      ($0.numTiers, $0.tierUpdateFrequencies) = (2, [1, 4])
      change(&$0)
    }
    return try ParameterTierScheduler(config: config, parameters: Self.parameters) { epoch in
      epoch < epochs.count ? epochs[epoch] : 1000
    }
  }

  private func firstSteps(_ scheduler: ParameterTierScheduler) -> [String: Int] {
    Dictionary(
      uniqueKeysWithValues: ["embed_tokens.weight", "norm.weight"].map { ($0, first($0, scheduler)) }
        + (0..<4).map { ("\($0)", first("layers.\($0).q.lora_b", scheduler)) })
  }

  private func first(_ name: String, _ scheduler: ParameterTierScheduler) -> Int {
    scheduler.tier(of: name).map { scheduler.tiers[$0].firstStep } ?? -1
  }

  /// An implementation that counted tensors would begin with half of the last layer.
  @Test func gradualUnfreezingCountsLayers() throws {
    let thawing = try scheduler(epochs: [1, 11, 21, 31, 41]) { $0.unfreeze = .gradual }
    #expect(
      firstSteps(thawing) == [
        "norm.weight": 1, "3": 1, "2": 11, "1": 21, "0": 31, "embed_tokens.weight": 41,
      ])
    for layer in 0..<4 {
      #expect(first("layers.\(layer).q.lora_a", thawing) == first("layers.\(layer).q.lora_b", thawing))
    }
    // Layers of one tier that begin at different steps are tiers of their own, of the tier that the config names.
    #expect(thawing.tiers.map(\.configTier) == [0, 0, 0, 1, 1])
    #expect(thawing.tiers.map(\.firstStep) == [21, 31, 41, 1, 11])
    #expect(thawing.learningTiers(at: 10) == [3] && thawing.learningTiers(at: 11) == [3, 4])
  }

  @Test func aScheduleByEpochsAndSteps() throws {
    let bySteps = try scheduler {
      $0.unfreezeSchedule = [UnfreezeStage(at: .step(5), layers: 3), UnfreezeStage(at: .step(9), layers: 9)]
    }
    #expect(
      firstSteps(bySteps) == ["norm.weight": 1, "3": 1, "2": 5, "1": 5, "0": 9, "embed_tokens.weight": 9])
    // What is after the layers, such as a head, begins alone.
    let headFirst = try scheduler {
      $0.unfreezeSchedule = [UnfreezeStage(at: .step(1), layers: 0), UnfreezeStage(at: .step(7), layers: 4)]
    }
    #expect(
      firstSteps(headFirst) == [
        "norm.weight": 1, "3": 7, "2": 7, "1": 7, "0": 7, "embed_tokens.weight": Tier.never,
      ])
    let byEpochs = try scheduler(epochs: [1, 7]) {
      $0.unfreezeSchedule = [
        UnfreezeStage(at: .epoch(0), layers: 2), UnfreezeStage(at: .epoch(1), layers: 3),
      ]
    }
    #expect(byEpochs.tiers.map(\.firstStep).sorted() == [1, 7, Tier.never])
    #expect(firstSteps(byEpochs)["1"] == 7 && firstSteps(byEpochs)["0"] == Tier.never)
  }

  @Test func frozenPartsNeverLearn() throws {
    let frozen = try scheduler { $0.freeze = [.embeddings, .layers(0...1), .layers(3...3)] }
    #expect(firstSteps(frozen).filter { $0.value == 1 }.keys.sorted() == ["2", "norm.weight"])
    #expect(frozen.tiers.filter(\.isFrozen).allSatisfy { $0.updates(in: 1_000_000) == 0 })
    #expect((1...8).allSatisfy { !frozen.openTiers(after: $0).contains { frozen.tiers[$0].isFrozen } })
    #expect(throws: TierError.self) { try scheduler { $0.freeze = [.layers(4...4)] } }
    let nothing = #expect(throws: TierError.self) {
      let config = config { ($0.numTiers, $0.tierUpdateFrequencies, $0.freeze) = (1, [1], [.layers(0...1)]) }
      _ = try ParameterTierScheduler(config: config, parameters: oneParameterALayer(2))
    }
    #expect(nothing?.reason == "freeze leaves nothing to train")
  }

  /// The update at the first step of the period's grid; its window begins with its first step.
  @Test func clocksGoOnAsTheyWere() throws {
    let tier = Tier(index: 0, frequency: 4, phase: 1, parameters: [], parameterCount: 0, firstStep: 6)
    #expect((1...14).filter(tier.isActive) == [9, 13] && tier.firstUpdate == 9 && tier.updates(in: 14) == 2)
    #expect((1...10).filter { tier.hasOpenWindow(after: $0) } == [6, 7, 8, 10])
    #expect(tier.clockText == "every 4 steps from step 9 on")
  }

  /// base · decay^(L − 1 − l), the last layer and what is after it at the base. The wrong way round, the first layer had
  /// that.
  @Test func ratesFallTowardsTheFirstLayer() throws {
    let scales = try scheduler { $0.layerLrDecay = 0.5 }.rateScales
    #expect(scales["layers.3.q.lora_a"] == nil && scales["norm.weight"] == nil)
    #expect((0..<3).map { scales["layers.\($0).q.lora_a"] } == [0.125, 0.25, 0.5])
    #expect(scales["embed_tokens.weight"] == 0.0625)
    let groups = try scheduler {
      $0.layerLrDecay = 0.5
      $0.lrGroups = [ModuleValue(pattern: "*.lora_b", value: 16), ModuleValue(pattern: "norm.*", value: 0)]
    }.rateScales
    #expect(
      groups["layers.2.q.lora_b"] == 8 && groups["layers.2.q.lora_a"] == 0.5 && groups["norm.weight"] == 0)
    for patterns in [["*.lora_b", "layers.*"], ["*.lora_c"]] {
      #expect(throws: TierError.self) {
        try scheduler { $0.lrGroups = patterns.map { ModuleValue(pattern: $0, value: 2) } }
      }
    }
  }

  /// Each parameter's own rate is what reaches the optimizer: of sgd, the step is that rate times the gradient.
  @Test func ratesReachTheOptimizer() throws {
    let config = config {
      ($0.numTiers, $0.tierUpdateFrequencies, $0.optimizer) = (1, [1], .sgd)
      ($0.learningRate, $0.warmupSteps, $0.layerLrDecay, $0.maxGradNorm) = (0.5, 0, 0.25, nil)
    }
    let scheduler = try ParameterTierScheduler(config: config, parameters: oneParameterALayer(3))
    var state = try NestedTrainerState(
      config: config, scheduler: scheduler, parameters: ["p0": [0], "p1": [0], "p2": [0]],
      shapes: ["p0": [1], "p1": [1], "p2": [1]])
    _ = try state.apply(step: 1, trainedTokens: 1, gradients: .sums(["p0": [1], "p1": [1], "p2": [1]]))
    #expect(state.parameters == ["p0": [-0.03125], "p1": [-0.125], "p2": [-0.5]])
  }
}

/// Sections of a config file: other places for the same keys.
@Suite struct ConfigSectionTests {
  private func read(_ text: String) throws -> NestedLearningConfig {
    try NestedLearningConfig(
      text: "base_model_path: m\ntrain_data_path: d\n" + text, file: "a.yaml", format: .yaml)
  }

  @Test func aSectionSaysWhatItsKeysSay() throws {
    let flat = try read("lr_schedule: polynomial\nlr_end: 1.0e-6\nfreeze: [embeddings]\nunfreeze: gradual\n")
    let sections = try read(
      """
      schedule:
        lr_schedule: polynomial
        end: 1.0e-6
      adaptation: {freeze: [embeddings], unfreeze: gradual}
      """)
    #expect(flat.json() == sections.json() && flat.lrEnd == 1e-6)
    #expect(try NestedLearningConfig(object: sections.json().object ?? [:], file: "x").json() == flat.json())
  }

  @Test(arguments: [
    ("schedule:\n  end: 1\n  num_steps: 3\n", "schedule.num_steps", "is not a key"),
    ("lr_end: 0\nschedule: {end: 0}\n", "lr_end", "given twice"),
    ("schedule: 3\n", "schedule", "is a section"),
    ("schedule: {plateau_factor: 0.1}\n", "plateau_factor", "is only for lr_schedule plateau"),
    ("schedule: {end: 1}\n", "lr_end", "is only for lr_schedule linear, cosine"),
    ("schedule: {end: 1, lr_schedule: linear}\n", "lr_end", "above learning_rate"),
    ("adaptation: {unfreeze: gradual, unfreeze_schedule: {1: 2}}\n", "unfreeze_schedule", "contradicts"),
    ("unfreeze_schedule: {soon: 2}\n", "unfreeze_schedule", "neither an epoch nor a step"),
    ("freeze: [3-1]\n", "freeze", "must be embeddings"),
    ("unfreeze_schedule: {1: 2, 2: 0}\n", "unfreeze_schedule", "are not frozen again"),
    (
      "adaptation: {unfreeze: gradual}\ntier_mode: consolidate\n", "unfreeze", "is for tier_mode layers"
    ),
  ]) func whatIsWrongIsNamed(text: String, key: String, reason: String) {
    let error = #expect(throws: ConfigError.self) { try read(text) }
    let words = error.map { "\($0)" } ?? ""
    #expect(words.contains(key) && words.contains(reason) && words.contains("a.yaml"), "\(words)")
  }

  /// Paths of a request are looked for under the names of keys.
  @Test func noSectionHasAPath() {
    #expect(ConfigSection.all.flatMap(\.keys).allSatisfy { $0.kind != .path })
    #expect(!ConfigSection.all.isEmpty)
  }
}
