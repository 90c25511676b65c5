import JSON

extension NestedLearningConfig {
  /// Every key there is, in the order in which configs are written and flags are listed.
  public static let keys: [ConfigKey] =
    [presetKey] + modelKeys + dataKeys + samplingKeys + curriculumKeys + objectiveKeys + penaltyKeys
    + taskKeys + tierKeys + consolidationKeys + optimizerKeys + scheduleKeys + adaptationKeys
    + domainKeys + runKeys

  public static func key(named name: String) -> ConfigKey? { keys.first { $0.name == name } }

  private static let modelKeys: [ConfigKey] = [
    .path(
      "base_model_path", \.baseModelPath, "Folder of the base model, in Hugging Face layout.",
      isRequired: true),
    .optionalPath(
      "adapter_path", \.adapterPath, "LoRA adapter to go on from, mlx-lm or PEFT; else a fresh one."),
    .choice("trainable", \.trainable, "What is trained: a LoRA adapter, or all weights."),
    .integer("lora_rank", \.loraRank, 1...65_536, "Rank r of the LoRA matrices."),
    .number(
      "lora_alpha", \.loraAlpha, "above 0", { $0 > 0 }, "LoRA scale times r, or times √r with use_rslora."),
    .number(
      "lora_dropout", \.loraDropout, "from 0 to below 1", { $0 >= 0 && $0 < 1 },
      "Probability with which an input of a LoRA pair is dropped."),
    .boolean("use_rslora", \.useRslora, "Scale by alpha/√r instead of alpha/r."),
    targetModules, excludedModules, transformedLayers, lastLayers, rankPatterns, alphaPatterns,
    savedModules, addedTokens,
    arithmeticKey, mixedPrecisionKey,
    .choice(
      "activation_checkpointing", \.activationCheckpointing,
      "layer: keep only the inputs of layers, and compute the rest twice; saves memory."),
  ]

  private static let dataKeys: [ConfigKey] = [
    trainData,
    validationData,
    .integer(
      "max_seq_length", \.maxSeqLength, 2...1_048_576,
      "Tokens of a row at most, its EOS included; not more than the model has positions."),
    .choice(
      "long_rows", \.longRows,
      "Longer rows: cut (without an EOS at the cut), split into several rows, or refused. They are counted and reported."
    ),
    .choice(
      "train_on", \.trainOn,
      "Tokens with a loss: those of completions and of the assistant's turns, or all. Rows of plain text have it on all."
    ),
    .boolean(
      "packing", \.packing,
      "Put rows together, as many as max_seq_length has room for; batch_size then counts these packs."),
    templateDate,
    .boolean("shuffle", \.shuffle, "Take the rows in a new random order in each epoch."),
    .boolean(
      "skip_unusable_rows", \.skipUnusableRows, "Count rows without a trained token instead of refusing them."
    ),
    .integer("batch_size", \.batchSize, 1...65_535, "Rows, or packs of rows, of a micro-batch."),
    .integer(
      "gradient_accumulation_steps", \.gradientAccumulationSteps, 1...65_535, "Micro-batches of a step."),
  ]

  private static let tierKeys: [ConfigKey] = [
    .integer("num_tiers", \.numTiers, 1...1024, "Tiers; 1 is plain fine-tuning."),
    frequencies,
    .choice("tier_assignment_strategy", \.tierAssignmentStrategy, "How parameters are divided into tiers."),
    .choice("tier_order", \.tierOrder, "Which layers layer_depth puts in tier 0: the first or the last."),
    tierMap,
    defaultTierKey, moduleTypeTiersKey, tierSeedKey,
    .integer(
      "importance_steps", \.importanceSteps, 1...1_000_000,
      "For the parameter_importance strategy: steps over which gradients are looked at before training."),
    tierPhaseKey,
    .choice("inactive_gradients", \.inactiveGradients, "What becomes of gradients between a tier's updates."),
    tierScale,
    .integer("flush_every", \.flushEvery, 1...1_000_000, "Steps after which workers send their window sums."),
  ]

  private static let optimizerKeys: [ConfigKey] = [
    .choice("optimizer", \.optimizer, "The update rule."),
    .number("learning_rate", \.learningRate, "of at least 0", { $0 >= 0 }, "Base learning rate."),
    .integer(
      "warmup_steps", \.warmupSteps, 0...1_000_000_000, "Steps over which the rate rises to its base."),
    .number(
      "weight_decay", \.weightDecay, "of at least 0", { $0 >= 0 }, "Weight decay; decoupled for adamw."),
    .number(
      "beta1", \.beta1, "from 0 to below 1", { $0 >= 0 && $0 < 1 }, "Decay of Adam's mean of gradients."),
    .number("beta2", \.beta2, "from 0 to below 1", { $0 >= 0 && $0 < 1 }, "Decay of Adam's mean of squares."),
    // A smaller one would be zero or denormal in f32, and 0/0 where a gradient is zero.
    .number(
      "eps", \.eps, "of at least 1e-37", { $0 >= 1e-37 }, "Added to Adam's root of the mean of squares."),
    gradNorm,
  ]

  private static let runKeys: [ConfigKey] = [
    .integer("num_steps", \.numSteps, 1...1_000_000_000, "Optimizer steps of the run."),
    seedKey,
    .number(
      "verify_fraction", \.verifyFraction, "from 0 to 1", { $0 >= 0 && $0 <= 1 },
      "Share of the shards that a second worker computes too, to find machines that compute wrongly."),
    .integer(
      "loss_every", \.lossEvery, 1...1_000_000_000,
      "Steps between losses while no tier is due and gradients are discarded; other steps then cost nothing."),
    .integer("eval_every", \.evalEvery, 1...1_000_000_000, "Steps between evaluations."),
    .boolean("early_stop", \.earlyStop, "Stop when the validation loss no longer falls."),
    .integer(
      "patience", \.patience, 1...1_000_000_000, "Evaluations without a better loss before early stop."),
    .number(
      "min_delta", \.minDelta, "of at least 0", { $0 >= 0 }, "By how much a better loss must be lower."),
    .integer("checkpoint_every", \.checkpointEvery, 1...1_000_000_000, "Steps between checkpoints."),
    .boolean(
      "save_best_only", \.saveBestOnly, "Write checkpoints only where the validation loss is the best so far."
    ),
    .integer(
      "keep_last_n_checkpoints", \.keepLastNCheckpoints, 1...1_000_000, "Numbered checkpoints to keep."),
    .boolean(
      "select_scale", \.selectScale,
      "After training, look for the smallest scale of the adapter whose validation loss holds, and write it as scaled."
    ),
    .number(
      "scale_tolerance", \.scaleTolerance, "of at least 0", { $0 >= 0 },
      "By how much the validation loss of a smaller scale may be higher, in nats."),
    .path("output_path", \.outputPath, "Folder in which the folder of the run is made."),
    experiment,
  ]
}

// MARK: - Keys of their own kind

extension NestedLearningConfig {
  private static let frequencies = ConfigKey(
    "tier_update_frequencies", .integers, "For each tier, the steps between its updates; not descending.",
    read: { (config, value) throws(ConfigValueError) in
      config.tierUpdateFrequencies = try ConfigKey.list(value, "a list of whole numbers") {
        (item) throws(ConfigValueError) in
        try ConfigKey.whole(item, 1...1_000_000_000)
      }
    },
    write: { .numbers($0.tierUpdateFrequencies) })

  private static let tierMap = ConfigKey(
    "manual_tier_map", .tierMap, "For the manual strategy: patterns of module names and their tiers.",
    read: { (config, value) throws(ConfigValueError) in
      config.manualTierMap = value.isNull ? nil : try ManualTierMap(parsing: value)
    },
    write: { $0.manualTierMap?.json() ?? .null })

  private static let defaultTierKey = ConfigKey(
    "default_tier", .integer, "For the manual strategy: the tier of modules that no pattern matches.",
    read: { (config, value) throws(ConfigValueError) in
      config.defaultTier = value.isNull ? nil : try ConfigKey.whole(value, 0...1023)
    },
    write: { $0.defaultTier.map { .number($0) } ?? .null })

  private static let arithmeticKey = ConfigKey(
    "arithmetic", .choice(Arithmetic.allCases.map(\.rawValue)),
    "Products with frozen matrices: f32 (the default), f32_tiles (as exact, fast with AMX), bf16_dot (rounded to bf16, fast "
      + "with AVX512_BF16 of AMD since Zen 4), bf16_tiles (rounded, fast with AMX of Intel Xeon since 2023), or auto: "
      + "whichever is as exact as f32 and fast on the coordinator's CPU.",
    read: { (config, value) throws(ConfigValueError) in
      if value.isNull {
        config.arithmetic = nil
        return
      }
      guard let choice = value.string.flatMap(Arithmetic.init) else {
        let names = Arithmetic.allCases.map(\.rawValue).joined(separator: ", ")
        throw .type("one of \(names)", value)
      }
      config.arithmetic = choice
    },
    write: { $0.arithmetic.map { .string($0.rawValue) } ?? .null })

  private static let mixedPrecisionKey = ConfigKey(
    "mixed_precision", .choice(["false", "true", "amx"]),
    "Another word for arithmetic: true is bf16_dot or bf16_tiles, whichever is fast on the coordinator's CPU, amx is "
      + "bf16_tiles.",
    read: { (config, value) throws(ConfigValueError) in
      guard let choice = MixedPrecision.allCases.first(where: { $0.json == value }) else {
        throw .type("true or false or \"amx\"", value)
      }
      config.mixedPrecision = choice
    },
    write: { $0.mixedPrecision.json })

  private static let tierScale = ConfigKey(
    "tier_lr_scale", .choiceOrNumbers(["none", "inverse_frequency"]),
    "What a tier's learning rate is multiplied by.",
    read: { (config, value) throws(ConfigValueError) in
      let expected = "none or inverse_frequency or a list of numbers of at least 0"
      switch value {
      case .string("none"): config.tierLrScale = .none
      case .string("inverse_frequency"): config.tierLrScale = .inverseFrequency
      default:
        config.tierLrScale = .list(
          try ConfigKey.list(value, expected) { (item) throws(ConfigValueError) in
            try ConfigKey.real(item, "a number of at least 0") { $0 >= 0 }
          })
      }
    },
    write: {
      switch $0.tierLrScale {
      case .none: "none"
      case .inverseFrequency: "inverse_frequency"
      case .list(let scales): .numbers(scales)
      }
    })

  private static let gradNorm = ConfigKey(
    "max_grad_norm", .number, "Norm above which gradients are scaled down; 0: never.",
    read: { (config, value) throws(ConfigValueError) in
      let norm = value.isNull ? 0 : try ConfigKey.real(value, "a number of at least 0, or null") { $0 >= 0 }
      config.maxGradNorm = norm > 0 ? norm : nil
    },
    write: { $0.maxGradNorm.map { .number($0) } ?? .null })

  private static let seedKey = ConfigKey(
    "seed", .integer, "Decides every random number of the run.",
    read: { (config, value) throws(ConfigValueError) in
      config.seed = UInt64(try ConfigKey.whole(value, 0...Int.max))
    },
    write: { .number(String($0.seed)) })

  private static let experiment = ConfigKey(
    "experiment_name", .string,
    "Name of the folder of the run; else the config file's name without its ending.",
    read: { (config, value) throws(ConfigValueError) in
      let name = try ConfigKey.text(value, "a name")
      guard isFolderName(name) else {
        throw ConfigValueError(
          reason: "\(value.text) cannot be the name of a folder", remedy: "choose a name without /")
      }
      config.experimentName = name
    },
    write: { .string($0.experimentName) })

  static func isFolderName(_ name: String) -> Bool {
    !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 200
      && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 < 0x20 }
  }
}

extension ManualTierMap {
  init(parsing value: JSONValue) throws(ConfigValueError) {
    func entry(_ pattern: JSONValue?, _ tier: JSONValue?, line: Int?) throws(ConfigValueError) -> Entry {
      guard let pattern = pattern?.string, !pattern.isEmpty, let tier = tier?.int, (0...1023).contains(tier)
      else {
        throw ConfigValueError(
          reason: "must give a pattern (a string) and a tier (a whole number of at least 0) in each entry",
          remedy: #"write {"pattern": "*.q_proj", "tier": 0}"#, line: line)
      }
      return Entry(pattern: pattern, tier: tier)
    }
    var entries: [Entry] = []
    switch value {
    case .object(let object):
      for member in object.members {
        entries.append(
          try entry(.string(member.key), member.value, line: member.line > 0 ? member.line : nil))
      }
    case .array(let items):
      for item in items {
        let line = item.object?.members.first.flatMap { $0.line > 0 ? $0.line : nil }
        if let other = item.object?.members.first(where: { $0.key != "pattern" && $0.key != "tier" }) {
          throw ConfigValueError(
            reason: "has an unknown key \"\(other.key)\" in an entry",
            remedy: "an entry has pattern and tier",
            line: line)
        }
        entries.append(try entry(item["pattern"], item["tier"], line: line))
      }
    default: throw .type("a list of {pattern, tier} or an object of patterns and tiers", value)
    }
    guard !entries.isEmpty else { throw ConfigValueError(reason: "has no pattern") }
    self.init(entries: entries, isOrdered: value.array != nil)
  }
}
