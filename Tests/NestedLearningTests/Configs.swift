import JSON
import NestedLearning

/// A config made in code, with what a test needs changed.
func config(_ change: (inout NestedLearningConfig) -> Void = { _ in }) -> NestedLearningConfig {
  var config = NestedLearningConfig(
    baseModelPath: "/model", trainDataPath: "/train.jsonl", experimentName: "test")
  change(&config)
  return config
}

/// A config file in JSON: the paths that each has in its first line, and `members`, as they would stand there, from the
/// second on.
func readConfig(
  _ members: String, flags: [(key: String, value: JSONValue)] = []
) throws -> NestedLearningConfig {
  let least = #""base_model_path": "m", "train_data_path": "d""#
  return try NestedLearningConfig(
    text: "{\(least)\(members.isEmpty ? "" : ",\n\(members)")}", file: "runs/a.json", format: .json,
    overrides: flags)
}

/// `count` parameters with one number each, in layers 0, 1, …: with as many tiers, one a tier.
func oneParameterALayer(_ count: Int) -> [TrainableParameter] {
  (0..<count).map { TrainableParameter(name: "p\($0)", module: "m\($0)", layer: $0, count: 1) }
}
