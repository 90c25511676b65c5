import Testing

@testable import NestedLearning

/// `tier_mode: consolidate`. That twelve steps are PyTorch's is for GoldenTrainingTests.
@Suite struct ConsolidationTests {
  private static func state(_ change: (inout NestedLearningConfig) -> Void) throws -> NestedTrainerState {
    let config = config {
      $0.tierMode = .consolidate
      $0.inactiveGradients = .discard
      $0.gradientAccumulationSteps = 1
      $0.warmupSteps = 0
      $0.learningRate = 0.1
      $0.optimizer = .sgd
      $0.maxGradNorm = nil
      change(&$0)
    }
    let parameters = [TrainableParameter(name: "p", module: "p", layer: 0, count: 2)]
    return try NestedTrainerState(
      config: config, scheduler: ParameterTierScheduler(config: config, parameters: parameters),
      parameters: ["p": [1, -2]], shapes: ["p": [2]])
  }

  private static func step(_ state: inout NestedTrainerState, _ gradient: [Float] = [1, 0.5]) throws
    -> StepOutcome
  {
    try state.apply(step: state.step + 1, trainedTokens: 1, gradients: .sums(["p": gradient]))
  }

  /// Lookahead (Zhang et al., 2019): k fast steps, then slow += α(fast − slow) and fast = slow. Its own loop, in Double.
  @Test func twoCopiesAreLookahead() throws {
    var state = try Self.state {
      $0.numTiers = 2
      $0.tierUpdateFrequencies = [1, 5]
      $0.consolidateAlpha = [0.3]
    }
    var (fast, slow) = ([1.0, -2.0], [1.0, -2.0])
    for step in 1...23 {
      let outcome = try Self.step(&state, [Float(step), 0.5])
      fast[0] -= 0.1 * Double(step)
      fast[1] -= 0.1 * 0.5
      if step % 5 == 0 {
        for i in 0..<2 { slow[i] += 0.3 * (fast[i] - slow[i]) }
        fast = slow
      }
      #expect(outcome.shownTiers == (step % 5 == 0 ? [0, 1] : [0]))
      for i in 0..<2 {
        #expect(abs(Double(state.parameters["p"]?[i] ?? .nan) - fast[i]) < 1e-5, "step \(step)")
        #expect(abs(Double(state.published["p"]?[i] ?? .nan) - slow[i]) < 1e-5, "step \(step)")
      }
    }
  }

  /// Where several follow at one step, the slower takes what the faster has just come to, and all go on from the slowest.
  @Test func severalAtOnce() throws {
    var state = try Self.state {
      $0.numTiers = 3
      $0.tierUpdateFrequencies = [1, 2, 4]
      $0.consolidateAlpha = [0.5, 0.25]
    }
    for _ in 1...3 { _ = try Self.step(&state, [10, 0]) }
    // θ: 1 → 0 → (−1, copy 1: 0, θ: 0) → −1; at step 4: θ −2, copy 1: −1, copy 2: 1 + .25·(−2) = .5.
    #expect(state.parameters["p"] == [-1, -2] && state.consolidation?.copies[0]["p"] == [0, -2])
    #expect(try Self.step(&state, [10, 0]).followed == [1, 2])
    #expect(state.parameters["p"] == [0.5, -2])
    #expect(state.consolidation?.copies.map { $0["p"] } == [[0.5, -2], [0.5, -2]])
  }

  @Test func anAnchor() throws {
    var state = try Self.state {
      $0.numTiers = 2
      $0.tierUpdateFrequencies = [1, 1]
      $0.consolidateAlpha = [1]
      $0.anchor = 0.5
    }
    _ = try Self.step(&state, [10, 0])
    #expect(state.published["p"] == [0.5, -2], "half of the way back to 1")
    _ = try Self.step(&state, [10, 0])
    #expect(state.published["p"] == [0.25, -2])
  }

  /// A snapshot at any step goes on to the same bits, whatever becomes of moments.
  @Test(arguments: ConsolidateMoments.allCases, [OptimizerKind.adam, .sgd])
  func goesOn(moments: ConsolidateMoments, optimizer: OptimizerKind) throws {
    let start = try Self.state {
      $0.numTiers = 3
      $0.tierUpdateFrequencies = [1, 3, 6]
      $0.consolidateMoments = moments
      $0.optimizer = optimizer
      $0.anchor = 0.1
    }
    var whole = start
    var states: [NestedTrainerState] = [start]
    for step in 1...14 {
      _ = try Self.step(&whole, [Float(step % 4) - 1.5, 0.25])
      states.append(whole)
    }
    for (step, state) in states.enumerated() {
      var again = try NestedTrainerState(
        config: state.config, scheduler: state.scheduler, shapes: state.shapes, snapshot: state.snapshot())
      for later in step + 1..<15 { _ = try Self.step(&again, [Float(later % 4) - 1.5, 0.25]) }
      #expect(again.snapshot() == whole.snapshot(), "from step \(step)")
    }
  }

  @Test func whatContradicts() throws {
    func reason(_ text: String) -> String {
      let config = #"{"base_model_path": "m", "train_data_path": "d", "tier_mode": "consolidate", \#(text)}"#
      do {
        _ = try NestedLearningConfig(text: config, file: "c.json", format: .json)
        return ""
      } catch { return "\(error)" }
    }
    #expect(reason(#""num_steps": 100"#) == "")
    for (text, part) in [
      (#""tier_update_frequencies": [2, 4, 8]"#, "tier_update_frequencies: begins with 2"),
      (#""tier_update_frequencies": [1, 2, 5]"#, "5 is no multiple of 2"),
      (#""num_steps": 3"#, "the slowest copy would follow every 4 steps, and the run has 3"),
      (#""consolidate_alpha": [0.5]"#, ""),
      (#""consolidate_alpha": [0.5, 0.5, 0.5]"#, "3 values for the 2 tiers"),
      (#""consolidate_alpha": 1.5"#, "consolidate_alpha: must be"),
      (#""inactive_gradients": "mean""#, "inactive_gradients: mean has no meaning"),
      (#""tier_lr_scale": "inverse_frequency""#, "tier_lr_scale: has no meaning"),
    ] {
      let said = reason(text)
      #expect(part.isEmpty ? said.isEmpty : said.contains(part), "\(text): \(said)")
    }
    let other = #"{"base_model_path": "m", "train_data_path": "d", "anchor": 0.5}"#
    #expect(throws: ConfigError.self) { try NestedLearningConfig(text: other, file: "c.json", format: .json) }
  }
}
