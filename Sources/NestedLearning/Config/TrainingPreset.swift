import JSON

/// A set of values by name, for `preset`: those that the file and the flags leave open.
public struct TrainingPreset: Sendable {
  public let name: String
  /// What it is for, in a line.
  public let purpose: String
  /// By config key.
  public let values: [(key: String, value: JSONValue)]

  public static let all: [TrainingPreset] = [
    TrainingPreset(
      "conservative", "small steps, tiers close together", periods: [1, 2, 4], strategy: "layer_depth",
      rate: 1e-5),
    TrainingPreset(
      "balanced", "tiers further apart", periods: [1, 3, 9], strategy: "layer_depth", rate: 1e-5),
    TrainingPreset(
      "aggressive", "tiers far apart, by importance", periods: [1, 5, 25], strategy: "parameter_importance",
      rate: 5e-6),
    TrainingPreset(
      "continual", "one task after the other", periods: [1, 5, 25], strategy: "parameter_importance",
      rate: 5e-6, [("replay", "self")]),
    TrainingPreset(
      "domain", "texts of another domain", periods: [1, 3, 9], strategy: "layer_depth", rate: 1e-5),
    TrainingPreset(
      "quick", "a first try", periods: [1, 2, 4], strategy: "layer_depth", rate: 2e-5, [("num_steps", 500)]),
    TrainingPreset(
      "small", "models below 1 B parameters", periods: [1, 2], rate: 5e-5,
      [("max_seq_length", 256), ("batch_size", 2)]),
    TrainingPreset(
      "medium", "models of 1 to 7 B parameters", periods: [1, 2, 4], rate: 1e-5,
      [("max_seq_length", 128), ("batch_size", 1)]),
    TrainingPreset(
      "large", "models above 7 B parameters", periods: [1, 2, 4, 8], rate: 1e-6,
      [("max_seq_length", 64), ("batch_size", 1)]),
    TrainingPreset(
      "keep", "what keeps most of what the model knew, as examples/forgetting measures it", periods: [1, 20],
      rate: 1e-3,
      [
        ("tier_mode", "consolidate"), ("replay", "self"), ("replay_fraction", 0.5),
        ("replay_targets", "soft"),
      ]),
  ]

  public static func named(_ name: String) -> TrainingPreset? { all.first { $0.name == name } }

  private init(
    _ name: String, _ purpose: String, periods: [Int], strategy: String? = nil, rate: Double,
    _ others: [(key: String, value: JSONValue)] = []
  ) {
    self.name = name
    self.purpose = purpose
    values =
      [("num_tiers", .number(periods.count)), ("tier_update_frequencies", .numbers(periods))]
      + (strategy.map { [("tier_assignment_strategy", .string($0))] } ?? []) + [
        ("learning_rate", .number(rate))
      ]
      + others
  }
}

extension NestedLearningConfig {
  static let presetKey = ConfigKey(
    "preset", .choice(TrainingPreset.all.map(\.name)),
    "A set of values for keys that are not given; nl-tool presets lists them.",
    read: { (config, value) throws(ConfigValueError) in
      if value.isNull {
        config.preset = nil
        return
      }
      guard let preset = value.string.flatMap(TrainingPreset.named) else {
        throw .type(TrainingPreset.all.map(\.name).joined(separator: " or "), value)
      }
      config.preset = preset.name
    },
    write: { $0.preset.map { .string($0) } ?? .null })

  /// Gives the preset's values to the keys that neither the file nor a flag gave; these do not count as given.
  ///
  /// The number of tiers and their periods go together: where one of them is given, the preset has neither.
  mutating func applyPreset() throws(ConfigValueError) {
    guard let preset = preset.flatMap(TrainingPreset.named) else { return }
    let pair: Set = ["num_tiers", "tier_update_frequencies"]
    let isPairGiven = !explicitKeys.isDisjoint(with: pair)
    for (name, value) in preset.values
    where !explicitKeys.contains(name) && !(isPairGiven && pair.contains(name)) {
      try Self.key(named: name)?.read(&self, value)
    }
  }
}
