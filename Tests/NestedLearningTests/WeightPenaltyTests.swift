import Testing

@testable import NestedLearning

/// EWC and L2-SP by their formulas: c(θ − θ_start) with c = λF + λ₂, F over its mean.
@Suite struct WeightPenaltyTests {
  private func config(ewc: Double, l2sp: Double) -> NestedLearningConfig {
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    (config.ewcLambda, config.l2spLambda) = (ewc, l2sp)
    return config
  }

  @Test func isAddedToGradients() throws {
    // Squares with the mean 2: F is .5, 0, 1, 2.5.
    let penalty = try #require(
      WeightPenalty(
        config: config(ewc: 4, l2sp: 0.5), start: ["a": [1, 1], "b": [0, 0]],
        squares: ["a": [1, 0], "b": [2, 5]]))
    let parameters: [String: [Float]] = ["a": [2, 3], "b": [-1, 0.5]]
    var gradients: GradientSums = ["a": [10, 20], "b": [30, 40]]
    penalty.add(to: &gradients, parameters: parameters)
    // c is 2.5, .5, 4.5 and 10.5.
    let expected: GradientSums = ["a": [12.5, 21], "b": [25.5, 45.25]]
    #expect(gradients == expected)
    // ½(2.5·1 + .5·4 + 4.5·1 + 10.5·.25)
    #expect(penalty.value(of: parameters) == 5.8125)
  }

  @Test func pullsEverythingAlikeWithoutFisher() throws {
    let penalty = try #require(
      WeightPenalty(config: config(ewc: 0, l2sp: 2), start: ["a": [1]], squares: nil))
    var gradients: GradientSums = ["a": [0]]
    penalty.add(to: &gradients, parameters: ["a": [4]])
    #expect(gradients == ["a": [6]])
  }

  @Test func isNoneUnlessAskedFor() {
    #expect(WeightPenalty(config: config(ewc: 0, l2sp: 0), start: [:], squares: nil) == nil)
  }
}

/// `parameter_importance`: module i of n in descending order goes to tier min(⌊i/⌊n/K⌋⌋, K − 1).
@Suite struct ImportanceTests {
  @Test func theMostImportantAreTheFastest() throws {
    let names = ["a", "b", "c", "d", "e", "f", "g"]
    let parameters = names.flatMap { name in
      ["lora_a", "lora_b"].map { TrainableParameter(name: "\(name).\($0)", module: name, layer: 0, count: 1) }
    }
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    config.tierAssignmentStrategy = .parameterImportance
    // Equal ones by name: b before f.
    let importance = ["a": 0.1, "b": 3, "c": 2, "d": 9, "e": 0, "f": 3, "g": 1]
    let scheduler = try ParameterTierScheduler(config: config, parameters: parameters, importance: importance)
    #expect(names.map { scheduler.tier(of: $0 + ".lora_a") } == [2, 0, 1, 0, 2, 1, 2])
    #expect(names.map { scheduler.tier(of: $0 + ".lora_b") } == [2, 0, 1, 0, 2, 1, 2])
    #expect(throws: TierError.self) { try ParameterTierScheduler(config: config, parameters: parameters) }
  }
}
