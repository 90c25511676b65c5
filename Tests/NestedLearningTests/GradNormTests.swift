import Foundation
import Testing

@testable import NestedLearning

/// GradNorm as Chen et al. (2018) have it. Twelve steps of a whole run are held to PyTorch (qwen2_tasks_gradnorm).
@Suite struct GradNormTests {
  private func balanced(_ alpha: Double = 1.5) -> NestedLearningConfig {
    config {
      ($0.numTiers, $0.tierUpdateFrequencies) = (1, [1])
      ($0.tasksWeighting, $0.tasksGradnormAlpha, $0.tasksWeightingRate) = (.gradnorm, alpha, 0.025)
      ($0.learningRate, $0.warmupSteps, $0.maxGradNorm) = (0.01, 0, nil)
    }
  }

  /// By hand: n = [5, 2], G = [5, 4] with w = [1, 2], mean 4.5; rates [.5, 1] over their mean .75 are [⅔, 4/3], so that with
  /// α = 1 the goals are [3, 6]: the first is too large, the second too small.
  @Test func slopesOfTheWeights() throws {
    var gradients: GradientSums = [
      GradNorm.gradientsName: [3, -4, 0, 2], GradNorm.weightsName: [0, 0], GradNorm.firstLossesName: [0, 0],
      "other": [1],
    ]
    let gradNorm = try #require(try GradNorm(balanced(1), from: &gradients))
    #expect(gradients == ["other": [1]])
    #expect(gradNorm.slopes(weights: [1, 2], losses: [2, 3], first: [4, 3]) == [5, -2])
    // At the goal itself nothing moves: equal sizes, equal rates.
    #expect(gradNorm.slopes(weights: [2, 5], losses: [2, 3], first: [2, 3]) == [0, 0])
    #expect(GradNorm.normalised([1, 3]) == [0.5, 1.5])
    var none: GradientSums = ["other": [1]]
    #expect(try GradNorm(balanced(), from: &none) == nil)
    #expect(try GradNorm(config(), from: &gradients) == nil)
    var broken: GradientSums = [GradNorm.gradientsName: [1, .nan]]
    #expect(throws: TrainerError.self) { try GradNorm(balanced(), from: &broken) }
  }

  /// A map that takes the weights out of tier 0 would leave them without a gradient, in silence.
  @Test func itsWeightsAreInTierZero() throws {
    func scheduler(_ pattern: String) throws -> ParameterTierScheduler {
      var config = balanced()
      (config.numTiers, config.tierUpdateFrequencies) = (2, [1, 2])
      config.tierAssignmentStrategy = .manual
      config.manualTierMap = ManualTierMap(entries: [.init(pattern: pattern, tier: 1)])
      config.defaultTier = 0
      return try ParameterTierScheduler(
        config: config,
        parameters: [
          TrainableParameter(name: "model.layers.0.q", module: "model.layers.0", layer: 0, count: 1),
          TrainableParameter(name: GradNorm.weightsName, module: "heads", layer: nil, count: 2),
        ])
    }
    #expect(try scheduler("model.layers.*").tiers[0].parameters == [GradNorm.weightsName])
    let error = #expect(throws: TierError.self) { try scheduler("heads") }
    #expect(error?.description.contains("heads.task_weights would go to tier 1") == true)
  }

  /// Two tasks that pull one number to 1 and to −1, the second with a hundred times the loss: alike, the second has it all;
  /// with GradNorm both learn equally fast, and it stays in the middle.
  @Test func tasksOfDifferentScalesLearnEquallyFast() throws {
    func losses(_ x: Double) -> [Double] { [0.5 * (x - 1) * (x - 1), 50 * (x + 1) * (x + 1)] }
    func slopes(_ x: Double) -> [Double] { [x - 1, 100 * (x + 1)] }
    func rates(_ config: NestedLearningConfig) throws -> [Double] {
      let isBalanced = config.tasksWeighting == .gradnorm
      let name = "model.layers.0.self_attn.q_proj.lora_a"
      var parameters: [String: [Float]] = [name: [0]]
      if isBalanced {
        parameters[GradNorm.weightsName] = [1, 1]
        parameters[GradNorm.gradientsName] = [0, 0]
        parameters[GradNorm.firstLossesName] = [0, 0]
      }
      let scheduler = try ParameterTierScheduler(
        config: config,
        parameters: parameters.map {
          let module = String($0.key[..<($0.key.lastIndex(of: ".") ?? $0.key.endIndex)])
          return TrainableParameter(
            name: $0.key, module: module, layer: $0.key == name ? 0 : nil, count: $0.value.count)
        })
      var state = try NestedTrainerState(
        config: config, scheduler: scheduler, parameters: parameters,
        shapes: parameters.mapValues { [$0.count] })
      for step in 1...1500 {
        let x = Double(state.parameters[name]?[0] ?? 0)
        let weights = (state.parameters[GradNorm.weightsName] ?? [1, 1]).map(Double.init)
        let own = slopes(x)
        var gradients: GradientSums = [name: [Float(weights[0] * own[0] + weights[1] * own[1])]]
        if isBalanced {
          gradients[GradNorm.gradientsName] = own.map { Float($0) }
          gradients[GradNorm.weightsName] = [0, 0]
          gradients[GradNorm.firstLossesName] = [0, 0]
        }
        _ = try state.apply(
          step: step, trainedTokens: 1, taskLosses: losses(x), gradients: .sums(gradients))
      }
      if isBalanced {
        #expect(abs((state.parameters[GradNorm.weightsName] ?? []).reduce(0, +) - 2) < 1e-5)
        #expect(state.parameters[GradNorm.firstLossesName] == [0.5, 50])
        #expect(state.parameters[GradNorm.gradientsName] == [0, 0])
      }
      return zip(losses(Double(state.parameters[name]?[0] ?? 0)), losses(0)).map { $0 / $1 }
    }
    let (alike, balanced) = (
      try rates(
        config {
          ($0.numTiers, $0.tierUpdateFrequencies, $0.learningRate) = (1, [1], 0.01)
          ($0.warmupSteps, $0.maxGradNorm) = (0, nil)
        }), try rates(balanced())
    )
    #expect(alike[0] > 3 && alike[1] < 0.05, "\(alike)")
    #expect(abs(balanced[0] - balanced[1]) < 0.1, "\(balanced)")
  }
}
