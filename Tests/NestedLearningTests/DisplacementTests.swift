import Testing

@testable import NestedLearning

/// How far a slow tier moves relative to a fast one over the same steps under a constant gradient. Under SGD the
/// sum of a window makes up for its length (eq. 71 of the Nested Learning paper); Adam's step does not depend on
/// the gradient's scale, so it does not, and a rate divided by f on top of that counts the period twice.
@Suite struct DisplacementTests {
  @Test(arguments: [4, 16, 256])
  func slowTiersMoveAsTheirSemanticsSay(frequency: Int) throws {
    let f = Double(frequency)
    let table: [(OptimizerKind, InactiveGradients, TierLearningRateScale, Double)] = [
      (.sgd, .sum, .none, 1), (.sgd, .sum, .inverseFrequency, 1 / f),
      (.adam, .discard, .none, 1 / f), (.adam, .mean, .none, 1 / f), (.adam, .sum, .none, 1 / f),
      (.adam, .sum, .inverseFrequency, 1 / (f * f)),
    ]
    for (optimizer, gradients, scale, expected) in table {
      let ratio = try displacement(optimizer, gradients, scale, frequency)
      #expect(abs(ratio - expected) <= 1e-5 * expected, "\(optimizer) \(gradients) \(scale): \(ratio)")
    }
  }

  /// The slow tier's displacement over the fast one's after 3f steps. Both see the gradient 1 at every step: two
  /// micro-batches with the sums 3 and 5 over 8 tokens.
  private func displacement(
    _ optimizer: OptimizerKind, _ inactive: InactiveGradients, _ scale: TierLearningRateScale,
    _ frequency: Int
  ) throws -> Double {
    let config = config {
      $0.numTiers = 2
      $0.tierUpdateFrequencies = [1, frequency]
      $0.optimizer = optimizer
      $0.inactiveGradients = inactive
      $0.tierLrScale = scale
      $0.learningRate = 0x1p-10
      $0.warmupSteps = 0
      $0.maxGradNorm = nil
      $0.numSteps = 3 * frequency
    }
    var state = try NestedTrainerState(
      config: config, scheduler: ParameterTierScheduler(config: config, parameters: oneParameterALayer(2)),
      parameters: ["p0": [0], "p1": [0]], shapes: ["p0": [1], "p1": [1]])
    for step in 1...(3 * frequency) {
      let gradients: StepGradients
      if inactive == .discard {
        let due = state.tiersDue(at: step).flatMap { state.scheduler.tiers[$0].parameters }
        gradients = .sums(Dictionary(uniqueKeysWithValues: due.map { ($0, [8]) }))
      } else {
        gradients = .scaledMicroBatches(
          ([3, 5] as [Float]).map { sum in
            let gradient = GradientWindow.scaled([sum], trainedTokens: 8)
            return ["p0": gradient, "p1": gradient]
          })
      }
      _ = try state.apply(step: step, trainedTokens: 8, gradients: gradients)
    }
    let moved = ["p0", "p1"].map { Double(state.parameters[$0]?.first ?? 0) }
    return moved[1] / moved[0]
  }
}
