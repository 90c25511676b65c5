import JSON

// The stages of a curriculum, and what a stage may have of its own.
extension NestedLearningConfig {
  static let curriculumStagesKey = ConfigKey(
    "curriculum_stages", .strings,
    "For stages: a list of {range: [least, most], target: accuracy, learning_rate: rate, frequencies: [1, 4], "
      + "tier_map: {pattern: tier}, data: path, batch_size: rows}, or of texts such as 0:0.3:0.7:1e-4; all but target may "
      + "be left out. Else 0 to .3, .3 to .7 and .7 to 1, each to an accuracy of .7.",
    mapPaths: { config, change in
      for stage in config.curriculumStages.indices {
        for file in config.curriculumStages[stage].data.indices {
          let path = config.curriculumStages[stage].data[file].path
          config.curriculumStages[stage].data[file].path = change(path)
        }
      }
    },
    read: { (config, value) throws(ConfigValueError) in
      guard !value.isNull, value.array?.isEmpty != true else {
        config.curriculumStages = []
        return
      }
      config.curriculumStages = try ConfigKey.list(value, "a list of stages") {
        (item) throws(ConfigValueError) in try stage(item)
      }
    },
    write: { .array($0.curriculumStages.map { .object(json($0)) }) })

  private static func json(_ stage: CurriculumStage) -> JSONObject {
    var members: JSONObject = [
      "range": .numbers([stage.range.lowerBound, stage.range.upperBound]), "target": .number(stage.target),
    ]
    if let rate = stage.learningRate { members["learning_rate"] = .number(rate) }
    if let frequencies = stage.frequencies { members["frequencies"] = .numbers(frequencies) }
    if let map = stage.tierMap { members["tier_map"] = map.json() }
    if !stage.data.isEmpty {
      members["data"] = .array(
        stage.data.map { ["path": .string($0.path), "weight": .number($0.weight)] })
    }
    if let size = stage.batchSize { members["batch_size"] = .number(size) }
    return members
  }

  private static let keysOfStages = [
    "range", "target", "learning_rate", "frequencies", "tier_update_frequencies", "tier_map", "data",
    "batch_size",
  ]

  private static func stage(_ item: JSONValue) throws(ConfigValueError) -> CurriculumStage {
    if let text = item.string { return try stage(text: text) }
    guard let object = item.object else { throw .type(expectedStage, item) }
    if let other = object.members.first(where: { !keysOfStages.contains($0.key) }) {
      throw ConfigValueError(
        reason: "has an unknown key \"\(other.key)\" in a stage",
        remedy: "a stage has range, target, learning_rate, frequencies, tier_map, data and batch_size",
        line: other.line > 0 ? other.line : nil)
    }
    var stage = try stage(
      range: given(object, "range"), object["target"] ?? .null, given(object, "learning_rate"))
    if given(object, "frequencies") != nil, given(object, "tier_update_frequencies") != nil {
      throw ConfigValueError(
        reason: "has a stage with frequencies and tier_update_frequencies, which are the same",
        remedy: "leave out one of the two")
    }
    let frequencies = given(object, "frequencies") ?? given(object, "tier_update_frequencies")
    stage.frequencies = try frequencies.map { (value) throws(ConfigValueError) in
      try ConfigKey.list(value, "a list of a stage's periods, one a tier") {
        (item) throws(ConfigValueError) in
        try ConfigKey.whole(item, 1...1_000_000_000)
      }
    }
    stage.tierMap = try given(object, "tier_map").map { (value) throws(ConfigValueError) in try tierMap(value)
    }
    stage.data = try given(object, "data").map { (value) throws(ConfigValueError) in try files(value) } ?? []
    stage.batchSize = try given(object, "batch_size").map { (value) throws(ConfigValueError) in
      try ConfigKey.whole(value, 1...65_535)
    }
    return stage
  }

  private static func tierMap(_ value: JSONValue) throws(ConfigValueError) -> ManualTierMap {
    do { return try ManualTierMap(parsing: value) } catch {
      throw ConfigValueError(
        reason: "has a stage whose tier_map \(error.reason)", remedy: error.remedy, line: error.line)
    }
  }

  private static let expectedStage =
    "a stage such as {range: [0, 0.3], target: 0.7, learning_rate: 1e-4}, or 0:0.3:0.7:1e-4"

  private static func given(_ object: JSONObject, _ key: String) -> JSONValue? {
    object[key].flatMap { $0.isNull ? nil : $0 }
  }

  private static func files(_ value: JSONValue) throws(ConfigValueError) -> [WeightedPath] {
    guard value.array != nil else { return [try weighted(value)] }
    return try ConfigKey.list(value, "a stage's path, or a list of paths with weights") {
      (item) throws(ConfigValueError) in try weighted(item)
    }
  }

  private static func stage(text: String) throws(ConfigValueError) -> CurriculumStage {
    let numbers = text.split(separator: ":", omittingEmptySubsequences: false).map { Double($0) }
    guard numbers.count == 3 || numbers.count == 4, numbers.allSatisfy({ $0?.isFinite == true }) else {
      throw .type(expectedStage, .string(text))
    }
    return try stage(
      range: .numbers([numbers[0] ?? 0, numbers[1] ?? 0]), .number(numbers[2] ?? 0),
      numbers.count == 4 ? .number(numbers[3] ?? 0) : nil)
  }

  private static func stage(
    range: JSONValue?, _ target: JSONValue, _ rate: JSONValue?
  ) throws(ConfigValueError) -> CurriculumStage {
    let range = try range.map { (range) throws(ConfigValueError) in
      try ConfigKey.share(range: range, "a stage's range of two numbers from 0 to 1, as in [0, 0.3]")
    }
    return CurriculumStage(
      range: range ?? 0...1,
      target: try ConfigKey.real(target, "a stage's target accuracy from 0 to 1") { (0...1).contains($0) },
      learningRate: try rate.map { (rate) throws(ConfigValueError) in
        try ConfigKey.real(rate, "a stage's learning rate of at least 0") { $0 >= 0 }
      })
  }

  // MARK: - What is of a stage

  /// Periods of the tiers in a stage, from 0.
  public func frequencies(ofStage stage: Int) -> [Int] {
    guard curriculumStrategy == .stages, curriculumStages.indices.contains(stage) else {
      return tierUpdateFrequencies
    }
    return curriculumStages[stage].frequencies ?? tierUpdateFrequencies
  }

  /// Those that a run begins with.
  public var initialFrequencies: [Int] { frequencies(ofStage: 0) }

  /// Whether periods change in the course of a run.
  public var changesPeriods: Bool {
    curriculumStages.indices.contains { frequencies(ofStage: $0) != initialFrequencies }
  }

  /// What stages say of the tiers of modules; a single one, for all of the run, where they say the same.
  var tierMaps: [ManualTierMap?] {
    guard curriculumStrategy == .stages, let first = curriculumStages.first else { return [nil] }
    return movesModules ? curriculumStages.map(\.tierMap) : [first.tierMap]
  }

  /// Whether modules may go to other tiers in the course of a run.
  public var movesModules: Bool {
    curriculumStrategy == .stages && curriculumStages.contains { $0.tierMap != curriculumStages[0].tierMap }
  }

  /// Whether a tier plan may follow the first.
  public var changesPlans: Bool { changesPeriods || movesModules }

  /// This config with the data and the batch size of a stage in place of its own.
  public func ofStage(_ stage: Int) -> NestedLearningConfig {
    guard curriculumStages.indices.contains(stage) else { return self }
    var config = self
    let own = curriculumStages[stage]
    if let first = own.data.first {
      config.trainDataPath = first.path
      config.trainDataFiles = own.data.count == 1 && first.weight == 1 ? [] : own.data
    }
    config.batchSize = own.batchSize ?? batchSize
    return config
  }

  /// The rules of what a stage may have of its own.
  func checkStages(_ source: ConfigSource) throws(ConfigError) {
    let stages = curriculumStages
    if lrSchedule == .plateau, stages.contains(where: { $0.learningRate != nil }) {
      throw source.error(
        "curriculum_stages", "give learning rates, and lr_schedule plateau says by itself what the rate is",
        "leave out one of the two")
    }
    try checkPeriods(of: stages, source)
    try checkTierMaps(of: stages, source)
    guard stages.contains(where: \.hasOwnRows) else { return }
    if replay == .self || replayDataPath != nil {
      throw source.error(
        "curriculum_stages", "have data or a batch size, and replay mixes rows into batches of one size",
        "leave out one of the two")
    }
    if unfreezesByEpoch {
      throw source.error(
        "curriculum_stages", "have data or a batch size, so that nobody knows when an epoch is over",
        #"let layers begin to learn at steps: unfreeze_schedule {"step 100": 2}"#)
    }
    guard let own = stages.firstIndex(where: { !$0.data.isEmpty }) else { return }
    if valDataPath == nil {
      throw source.error(
        "curriculum_stages",
        "give stage \(own) data, and all stages are evaluated on the same rows: val_data_path is missing",
        "name a file of rows to evaluate on")
    }
    if adaptationAdversary > 0 || adaptationNorms != .none {
      throw source.error(
        "curriculum_stages",
        "give stage \(own) data, and the domains that adaptation_domains is about are those of train_data_path",
        "leave out one of the two")
    }
    if loss.needsTokenLosses {
      throw source.error(
        "curriculum_stages",
        "give stage \(own) data, and loss \(loss.rawValue) weighs the rows of train_data_path",
        "leave out one of the two")
    }
    if let entry = stages.flatMap(\.data).first(where: { $0.weight != 1 }) {
      throw source.error(
        "curriculum_stages", "\(entry.path) has a weight, and curriculum_strategy says how often rows come",
        "leave it out")
    }
  }

  private func checkPeriods(of stages: [CurriculumStage], _ source: ConfigSource) throws(ConfigError) {
    guard stages.contains(where: { $0.frequencies != nil }) else { return }
    for frequencies in stages.compactMap(\.frequencies) {
      try checkFrequencies(frequencies, key: "curriculum_stages", source)
    }
    if tierMode == .consolidate {
      throw source.error(
        "curriculum_stages", "have frequencies, and tier_mode consolidate has the same copies all along",
        "leave out one of the two")
    }
    if replayAt == .boundaries {
      throw source.error(
        "curriculum_stages", "have frequencies, and replay_at boundaries goes by tier_update_frequencies",
        "leave out one of the two")
    }
  }

  private func checkTierMaps(of stages: [CurriculumStage], _ source: ConfigSource) throws(ConfigError) {
    for (stage, map) in stages.map(\.tierMap).enumerated() {
      guard let map else { continue }
      if let entry = map.entries.first(where: { !(0..<numTiers).contains($0.tier) }) {
        throw source.error(
          "curriculum_stages",
          "have a tier_map in stage \(stage) by which \"\(entry.pattern)\" goes to tier \(entry.tier) of \(numTiers) "
            + "(num_tiers)", "tiers are numbered from 0 to \(numTiers - 1)")
      }
      if tierMode == .consolidate {
        throw source.error(
          "curriculum_stages",
          "have a tier_map in stage \(stage), and with tier_mode consolidate every tier has all parameters",
          "leave out one of the two")
      }
    }
  }
}
