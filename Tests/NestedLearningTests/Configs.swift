import NestedLearning

/// A config made in code, with what a test needs changed.
func config(_ change: (inout NestedLearningConfig) -> Void = { _ in }) -> NestedLearningConfig {
  var config = NestedLearningConfig(
    baseModelPath: "/model", trainDataPath: "/train.jsonl", experimentName: "test")
  change(&config)
  return config
}

/// `count` parameters with one number each, in layers 0, 1, …: with as many tiers, one a tier.
func oneParameterALayer(_ count: Int) -> [TrainableParameter] {
  (0..<count).map { TrainableParameter(name: "p\($0)", module: "m\($0)", layer: $0, count: 1) }
}
