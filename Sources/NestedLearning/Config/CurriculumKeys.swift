import JSON

// The keys of a curriculum.
extension NestedLearningConfig {
  static let curriculumKeys: [ConfigKey] = [
    .choice(
      "curriculum_strategy", \.curriculumStrategy,
      "How the difficulty of the rows that are taken rises: not at all (none), on a line (progressive), as Platanios' "
        + "competence does (competence_linear, competence_sqrt), by the accuracy of evaluations (competence), or in stages."
    ),
    curriculumInitialKey,
    .number(
      "curriculum_final", \.curriculumFinal, "from 0 to 1", { $0 >= 0 && $0 <= 1 },
      "For progressive: the difficulty that it ends with."),
    curriculumStepsKey,
    .integer(
      "curriculum_warmup", \.curriculumWarmup, 0...1_000_000_000,
      "Steps before the difficulty begins to rise."),
    .number(
      "curriculum_target", \.curriculumTarget, "from 0 to 1", { $0 >= 0 && $0 <= 1 },
      "For competence: the accuracy of evaluations above which the competence rises."),
    .number(
      "curriculum_delta", \.curriculumDelta, "above 0 and up to 1", { $0 > 0 && $0 <= 1 },
      "For competence: by how much it moves."),
    curriculumPatienceKey, curriculumStagesKey,
  ]

  private static let curriculumInitialKey = ConfigKey(
    "curriculum_initial", .number,
    "The difficulty that a curriculum begins with, from 0 to 1; else .01 for competence_linear and competence_sqrt, .3 for "
      + "progressive and competence.",
    read: { (config, value) throws(ConfigValueError) in
      config.curriculumInitial =
        value.isNull ? nil : try ConfigKey.real(value, "a number from 0 to 1") { $0 >= 0 && $0 <= 1 }
    },
    write: { $0.curriculumInitial.map { .number($0) } ?? .null })

  private static let curriculumStepsKey = ConfigKey(
    "curriculum_steps", .integer, "Steps over which the difficulty rises; else num_steps.",
    read: { (config, value) throws(ConfigValueError) in
      config.curriculumSteps = value.isNull ? nil : try ConfigKey.whole(value, 1...1_000_000_000)
    },
    write: { $0.curriculumSteps.map { .number($0) } ?? .null })

  private static let curriculumPatienceKey = ConfigKey(
    "curriculum_patience", .integer,
    "Evaluations in a row that must agree before competence moves (else 3), or have reached a stage's target (else 1).",
    read: { (config, value) throws(ConfigValueError) in
      config.curriculumPatience = value.isNull ? nil : try ConfigKey.whole(value, 1...1_000_000)
    },
    write: { $0.curriculumPatience.map { .number($0) } ?? .null })

  /// The curriculum of the config; nil without one.
  ///
  /// - Throws: `CurriculumError` for what ``validate()`` refuses
  public func curriculum() throws(CurriculumError) -> (any CurriculumStrategy)? {
    guard curriculumStrategy != .none else { return nil }
    var settings = CurriculumSettings(steps: curriculumSteps ?? numSteps)
    settings.initial = curriculumInitial
    settings.final = curriculumFinal
    settings.warmup = curriculumWarmup
    settings.target = curriculumTarget
    settings.delta = curriculumDelta
    settings.patience = curriculumPatience
    if !curriculumStages.isEmpty { settings.stages = curriculumStages }
    return try createCurriculum(name: curriculumStrategy.rawValue, settings: settings)
  }

  /// The rules of a curriculum.
  func checkCurriculum(_ source: ConfigSource) throws(ConfigError) {
    let rising: [CurriculumKind] = [.progressive, .competenceLinear, .competenceSqrt]
    let owned: [(key: String, strategies: [CurriculumKind], isGiven: Bool)] = [
      ("curriculum_initial", rising + [.competence], curriculumInitial != nil),
      ("curriculum_final", [.progressive], curriculumFinal != 1),
      ("curriculum_steps", rising, curriculumSteps != nil),
      ("curriculum_warmup", rising, curriculumWarmup != 0),
      ("curriculum_target", [.competence], curriculumTarget != 0.7),
      ("curriculum_delta", [.competence], curriculumDelta != 0.05),
      ("curriculum_patience", [.competence, .stages], curriculumPatience != nil),
      ("curriculum_stages", [.stages], !curriculumStages.isEmpty),
    ]
    for (key, strategies, isGiven) in owned where isGiven && !strategies.contains(curriculumStrategy) {
      throw source.error(
        key, "is only for curriculum_strategy \(strategies.map(\.rawValue).joined(separator: ", "))",
        "set one of these, or leave out \(key)")
    }
    guard curriculumStrategy != .none else { return }
    try checkStages(source)
    do throws(CurriculumError) { _ = try curriculum() } catch {
      throw source.error("curriculum_\(error.name)", error.reason, error.remedy)
    }
    if samplingMode == .length {
      throw source.error(
        "curriculum_strategy", "takes rows by their difficulty, and sampling_mode length by their length",
        "leave out one of the two; sampling_length_mode progressive goes from short to long rows")
    }
    if samplingMode == .difficulty {
      throw source.error(
        "sampling_mode",
        "difficulty takes one range of difficulties, and curriculum_strategy another at each step",
        "leave out one of the two")
    }
  }
}
