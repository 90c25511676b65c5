import JSON

/// `sampling_mode`: how rows of the task are taken.
public enum SamplingMode: String, Sendable, CaseIterable {
  /// Each once in an epoch, in a random order.
  case shuffle
  /// The same, of the rows whose difficulty is in `sampling_range`.
  case difficulty
  /// As likely as the weight that a row has.
  case importance
  /// Each label, or domain, as often as the others.
  case balanced
  /// In batches of rows that are about as long as each other.
  case length
}

// The keys of how rows are taken.
extension NestedLearningConfig {
  static let samplingKeys: [ConfigKey] = [
    .choice(
      "sampling_mode", \.samplingMode,
      "How rows are taken: each once in an epoch (shuffle), those of a range of difficulties (difficulty), by weights with "
        + "replacement (importance), labels or domains as often as each other (balanced), in batches of similar length (length)."
    ),
    .choice(
      "sampling_difficulty", \.samplingDifficulty,
      "What makes a row difficult, from 0 to 1 over the data: .3 length + .3 rarity of its tokens + .4 of what the model "
        + "doubts before training (score), or one of the first two alone."),
    samplingRangeKey,
    .optionalText(
      "sampling_weight_field", \.samplingWeightField,
      "For sampling_mode importance: the key of a row that has its weight, a whole number of at least 0."),
    .optionalText(
      "sampling_balance_field", \.samplingBalanceField,
      "For sampling_mode balanced: the key of a row that has its label or domain."),
    .optionalText(
      "sampling_domain_field", \.samplingDomainField,
      "For sampling_mode length: the key of a row that has its domain; batches then have as many domains as they can."
    ),
    .number(
      "sampling_length_tolerance", \.samplingLengthTolerance, "of at least 0", { $0 >= 0 },
      "For sampling_mode length: by what part rows of a batch may be longer than its shortest."),
    .choice(
      "sampling_length_mode", \.samplingLengthMode,
      "For sampling_mode length: batches in a random order (uniform), short and long in turn (mixed), or from short to long "
        + "(progressive)."),
  ]

  private static let samplingRangeKey = ConfigKey(
    "sampling_range", .numbers, "Difficulties that sampling_mode difficulty takes: the least and the most.",
    read: { (config, value) throws(ConfigValueError) in
      config.samplingRange = try ConfigKey.share(range: value, "two numbers from 0 to 1, as in [0, 0.5]")
    },
    write: { .numbers([$0.samplingRange.lowerBound, $0.samplingRange.upperBound]) })

  /// Whether what a row's difficulty is counts for anything.
  public var usesDifficulty: Bool { samplingMode == .difficulty || curriculumStrategy != .none }

  /// Whether a model has to be asked about every row before training.
  public var needsConfidence: Bool { usesDifficulty && samplingDifficulty.needsConfidence }

  /// The rules of how rows are taken.
  func checkSampling(_ source: ConfigSource) throws(ConfigError) {
    let owned: [(key: String, mode: SamplingMode, isGiven: Bool)] = [
      ("sampling_range", .difficulty, samplingRange != 0...1),
      ("sampling_weight_field", .importance, samplingWeightField != nil),
      ("sampling_balance_field", .balanced, samplingBalanceField != nil),
      ("sampling_domain_field", .length, samplingDomainField != nil),
      ("sampling_length_tolerance", .length, samplingLengthTolerance != 0.2),
      ("sampling_length_mode", .length, samplingLengthMode != .uniform),
    ]
    for (key, mode, isGiven) in owned where isGiven && mode != samplingMode {
      throw source.error(key, "is only for sampling_mode \(mode.rawValue)", "set that, or leave out \(key)")
    }
    for (key, mode, isGiven) in owned
    where mode == samplingMode && !isGiven
      && ["sampling_weight_field", "sampling_balance_field"].contains(key)
    {
      throw source.error(
        key, "is missing, and sampling_mode \(mode.rawValue) needs it",
        "name the key of the data's rows that it goes by")
    }
    if samplingDifficulty != .score, !usesDifficulty {
      throw source.error(
        "sampling_difficulty", "has no effect: nothing goes by how difficult rows are",
        "set sampling_mode to difficulty, or give a curriculum_strategy, or leave it out")
    }
    guard samplingMode != .shuffle || curriculumStrategy != .none else { return }
    let cause = samplingMode != .shuffle ? "sampling_mode" : "curriculum_strategy"
    if packing, samplingMode == .length || curriculumStrategy != .none {
      throw source.error(
        "packing", "puts rows together in one order, and \(cause) takes others from step to step",
        "leave out one of the two")
    }
    if let entry = trainDataFiles.first(where: { $0.weight != 1 }) {
      throw source.error(
        "train_data_path", "\(entry.path) has a weight, and \(cause) says how often rows come",
        "leave out one of the two")
    }
    if samplingMode == .length, replay == .self || replayDataPath != nil {
      throw source.error(
        "sampling_mode", "length makes whole batches of rows, and replay mixes others among them",
        "leave out one of the two")
    }
  }
}

extension ConfigKey {
  /// A text that may be missing.
  static func optionalText(_ name: String, _ path: Path<String?>, _ help: String) -> ConfigKey {
    ConfigKey(
      name, .string, help,
      read: { (config, value) throws(ConfigValueError) in
        config[keyPath: path] = value.isNull ? nil : try text(value, "a text")
      },
      write: { $0[keyPath: path].map { .string($0) } ?? .null })
  }

  /// Two numbers from 0 to 1, ascending.
  static func share(range value: JSONValue, _ expected: String) throws(ConfigValueError) -> ClosedRange<
    Double
  > {
    let ends = try list(value, expected) { (item) throws(ConfigValueError) in
      try real(item, expected) { (0...1).contains($0) }
    }
    guard ends.count == 2, ends[0] <= ends[1] else { throw .type(expected, value) }
    return ends[0]...ends[1]
  }
}
