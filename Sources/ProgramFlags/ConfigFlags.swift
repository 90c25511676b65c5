import ArgumentParser
import JSON
import NestedLearning

/// One flag for each key of a config, in the order of `NestedLearningConfig.keys`; a flag wins over the file.
public struct ConfigFlags: ParsableArguments {
  @Option(help: .key("preset")) var preset: String?
  @Option(help: .key("base_model_path")) var baseModelPath: String?
  @Option(help: .key("adapter_path")) var adapterPath: String?
  @Option(help: .key("trainable")) var trainable: String?
  @Option(help: .key("lora_rank")) var loraRank: Int?
  @Option(help: .key("lora_alpha")) var loraAlpha: FiniteNumber?
  @Option(help: .key("lora_dropout")) var loraDropout: FiniteNumber?
  @Option(help: .key("use_rslora")) var useRslora: Bool?
  @Option(parsing: .upToNextOption, help: .key("lora_target_modules")) var loraTargetModules: [String] = []
  @Option(parsing: .upToNextOption, help: .key("exclude_modules")) var excludeModules: [String] = []
  @Option(parsing: .upToNextOption, help: .key("layers_to_transform")) var layersToTransform: [Int] = []
  @Option(help: .key("num_layers")) var numLayers: Int?
  @Option(parsing: .upToNextOption, help: .key("rank_pattern")) var rankPattern: [NumberPattern] = []
  @Option(parsing: .upToNextOption, help: .key("alpha_pattern")) var alphaPattern: [NumberPattern] = []
  @Option(parsing: .upToNextOption, help: .key("modules_to_save")) var modulesToSave: [String] = []
  @Option(parsing: .upToNextOption, help: .key("add_tokens")) var addTokens: [String] = []
  @Option(help: .key("arithmetic")) var arithmetic: String?
  @Option(help: .key("mixed_precision")) var mixedPrecision: String?
  @Option(help: .key("activation_checkpointing")) var activationCheckpointing: String?

  @Option(help: .key("train_data_path")) var trainDataPath: String?
  @Option(help: .key("val_data_path")) var valDataPath: String?
  @Option(help: .key("max_seq_length")) var maxSeqLength: Int?
  @Option(help: .key("long_rows")) var longRows: String?
  @Option(help: .key("train_on")) var trainOn: String?
  @Option(help: .key("packing")) var packing: Bool?
  @Option(help: .key("chat_template_date")) var chatTemplateDate: String?
  @Option(help: .key("shuffle")) var shuffle: Bool?
  @Option(help: .key("skip_unusable_rows")) var skipUnusableRows: Bool?
  @Option(help: .key("batch_size")) var batchSize: Int?
  @Option(help: .key("gradient_accumulation_steps")) var gradientAccumulationSteps: Int?

  @Option(help: .key("sampling_mode")) var samplingMode: String?
  @Option(help: .key("sampling_difficulty")) var samplingDifficulty: String?
  @Option(parsing: .upToNextOption, help: .key("sampling_range")) var samplingRange: [FiniteNumber] = []
  @Option(help: .key("sampling_weight_field")) var samplingWeightField: String?
  @Option(help: .key("sampling_balance_field")) var samplingBalanceField: String?
  @Option(help: .key("sampling_domain_field")) var samplingDomainField: String?
  @Option(help: .key("sampling_length_tolerance")) var samplingLengthTolerance: FiniteNumber?
  @Option(help: .key("sampling_length_mode")) var samplingLengthMode: String?
  @Option(help: .key("curriculum_strategy")) var curriculumStrategy: String?
  @Option(help: .key("curriculum_initial")) var curriculumInitial: FiniteNumber?
  @Option(help: .key("curriculum_final")) var curriculumFinal: FiniteNumber?
  @Option(help: .key("curriculum_steps")) var curriculumSteps: Int?
  @Option(help: .key("curriculum_warmup")) var curriculumWarmup: Int?
  @Option(help: .key("curriculum_target")) var curriculumTarget: FiniteNumber?
  @Option(help: .key("curriculum_delta")) var curriculumDelta: FiniteNumber?
  @Option(help: .key("curriculum_patience")) var curriculumPatience: Int?
  @Option(parsing: .upToNextOption, help: .key("curriculum_stages")) var curriculumStages: [String] = []

  @Option(help: .key("loss")) var loss: String?
  @Option(help: .key("replay")) var replay: String?
  @Option(help: .key("replay_data_path")) var replayDataPath: String?
  @Option(help: .key("replay_fraction")) var replayFraction: FiniteNumber?
  @Option(help: .key("replay_at")) var replayAt: String?
  @Option(help: .key("replay_targets")) var replayTargets: String?
  @Option(help: .key("self_replay_samples")) var selfReplaySamples: Int?
  @Option(help: .key("self_replay_tokens")) var selfReplayTokens: Int?
  @Option(parsing: .upToNextOption, help: .key("self_replay_prompts")) var selfReplayPrompts: [String] = []
  @Option(help: .key("self_replay_prompted")) var selfReplayPrompted: FiniteNumber?
  @Option(help: .key("kl_to_base")) var klToBase: FiniteNumber?
  @Option(help: .key("kl_on")) var klOn: String?

  @Option(help: .key("ewc_lambda")) var ewcLambda: FiniteNumber?
  @Option(help: .key("ewc_rows")) var ewcRows: Int?
  @Option(help: .key("ewc_data_path")) var ewcDataPath: String?
  @Option(help: .key("l2_sp_lambda")) var l2SpLambda: FiniteNumber?

  @Option(parsing: .upToNextOption, help: .key("tasks")) var tasks: [JSONObjectText] = []
  @Option(help: .key("tasks_weighting")) var tasksWeighting: String?
  @Option(help: .key("tasks_weighting_rate")) var tasksWeightingRate: FiniteNumber?
  @Option(help: .key("tasks_gradnorm_alpha")) var tasksGradnormAlpha: FiniteNumber?
  @Option(help: .key("tasks_schedule")) var tasksSchedule: String?

  @Option(help: .key("num_tiers")) var numTiers: Int?
  @Option(parsing: .upToNextOption, help: .key("tier_update_frequencies")) var tierUpdateFrequencies: [Int] =
    []
  @Option(help: .key("tier_assignment_strategy")) var tierAssignmentStrategy: String?
  @Option(help: .key("tier_order")) var tierOrder: String?
  @Option(parsing: .upToNextOption, help: .key("manual_tier_map")) var manualTierMap: [TierPattern] = []
  @Option(help: .key("default_tier")) var defaultTier: Int?
  @Option(parsing: .upToNextOption, help: .key("module_type_tiers")) var moduleTypeTiers: [NumberPattern] = []
  @Option(help: .key("tier_seed")) var tierSeed: Int?
  @Option(help: .key("importance_steps")) var importanceSteps: Int?
  @Option(parsing: .upToNextOption, help: .key("tier_phase")) var tierPhase: [String] = []
  @Option(help: .key("inactive_gradients")) var inactiveGradients: String?
  @Option(parsing: .upToNextOption, help: .key("tier_lr_scale")) var tierLrScale: [String] = []
  @Option(help: .key("flush_every")) var flushEvery: Int?
  @Option(help: .key("tier_mode")) var tierMode: String?
  @Option(parsing: .upToNextOption, help: .key("consolidate_alpha")) var consolidateAlpha: [FiniteNumber] = []
  @Option(help: .key("consolidate_moments")) var consolidateMoments: String?
  @Option(help: .key("anchor")) var anchor: FiniteNumber?

  @Option(help: .key("optimizer")) var optimizer: String?
  @Option(help: .key("learning_rate")) var learningRate: FiniteNumber?
  @Option(help: .key("warmup_steps")) var warmupSteps: Int?
  @Option(help: .key("weight_decay")) var weightDecay: FiniteNumber?
  @Option(help: .key("beta1")) var beta1: FiniteNumber?
  @Option(help: .key("beta2")) var beta2: FiniteNumber?
  @Option(help: .key("eps")) var eps: FiniteNumber?
  @Option(help: .key("max_grad_norm")) var maxGradNorm: FiniteNumber?
  @Option(help: .key("lr_schedule")) var lrSchedule: String?
  @Option(help: .key("lr_end")) var lrEnd: FiniteNumber?
  @Option(help: .key("lr_power")) var lrPower: FiniteNumber?
  @Option(help: .key("plateau_factor")) var plateauFactor: FiniteNumber?
  @Option(help: .key("plateau_patience")) var plateauPatience: Int?
  @Option(parsing: .upToNextOption, help: .key("freeze")) var freeze: [String] = []
  @Option(help: .key("unfreeze")) var unfreeze: String?
  @Option(parsing: .upToNextOption, help: .key("unfreeze_schedule")) var unfreezeSchedule: [NumberPattern] =
    []
  @Option(help: .key("layer_lr_decay")) var layerLrDecay: FiniteNumber?
  @Option(parsing: .upToNextOption, help: .key("lr_groups")) var lrGroups: [NumberPattern] = []
  @Option(parsing: .upToNextOption, help: .key("adaptation_domains")) var adaptationDomains: [String] = []
  @Option(help: .key("adaptation_domain_field")) var adaptationDomainField: String?
  @Option(help: .key("adaptation_adversary")) var adaptationAdversary: FiniteNumber?
  @Option(help: .key("adaptation_adversary_alpha")) var adaptationAdversaryAlpha: FiniteNumber?
  @Option(help: .key("adaptation_norms")) var adaptationNorms: String?

  @Option(help: .key("num_steps")) var numSteps: Int?
  @Option(help: .key("seed")) var seed: Int?
  @Option(help: .key("verify_fraction")) var verifyFraction: FiniteNumber?
  @Option(help: .key("loss_every")) var lossEvery: Int?
  @Option(help: .key("eval_every")) var evalEvery: Int?
  @Option(help: .key("early_stop")) var earlyStop: Bool?
  @Option(help: .key("patience")) var patience: Int?
  @Option(help: .key("min_delta")) var minDelta: FiniteNumber?
  @Option(help: .key("checkpoint_every")) var checkpointEvery: Int?
  @Option(help: .key("save_best_only")) var saveBestOnly: Bool?
  @Option(help: .key("keep_last_n_checkpoints")) var keepLastNCheckpoints: Int?
  @Option(help: .key("select_scale")) var selectScale: Bool?
  @Option(help: .key("scale_tolerance")) var scaleTolerance: FiniteNumber?
  @Option(help: .key("output_path")) var outputPath: String?
  @Option(help: .key("experiment_name")) var experimentName: String?

  public init() {}

  /// The values that were given, by key.
  public func overrides() -> [(key: String, value: JSONValue)] {
    (modelValues + dataValues + samplingValues + objectiveValues + tierValues + optimizerValues + runValues)
      .compactMap {
        key, value in
        value.map { (key, $0) }
      }
  }

  private var modelValues: [(String, JSONValue?)] {
    [
      ("preset", json(preset)), ("base_model_path", json(baseModelPath)), ("adapter_path", json(adapterPath)),
      ("trainable", json(trainable)), ("lora_rank", json(loraRank)), ("lora_alpha", json(loraAlpha)),
      ("lora_dropout", json(loraDropout)), ("use_rslora", json(useRslora)),
      ("lora_target_modules", targetModules),
      ("exclude_modules", excludeModules.isEmpty ? nil : .strings(excludeModules)),
      ("layers_to_transform", layersToTransform.isEmpty ? nil : .numbers(layersToTransform)),
      ("num_layers", json(numLayers)), ("rank_pattern", json(rankPattern)),
      ("alpha_pattern", json(alphaPattern)),
      ("modules_to_save", modulesToSave.isEmpty ? nil : .strings(modulesToSave)),
      ("add_tokens", addTokens.isEmpty ? nil : .strings(addTokens)),
      ("arithmetic", json(arithmetic)),
      ("mixed_precision", mixedPrecision.map { Bool($0).map { .bool($0) } ?? .string($0) }),
      ("activation_checkpointing", activationCheckpointing.map { .string($0) }),
    ]
  }

  private var dataValues: [(String, JSONValue?)] {
    [
      ("train_data_path", json(trainDataPath)), ("val_data_path", json(valDataPath)),
      ("max_seq_length", json(maxSeqLength)), ("long_rows", json(longRows)),
      ("train_on", json(trainOn)), ("packing", json(packing)),
      ("chat_template_date", json(chatTemplateDate)), ("shuffle", json(shuffle)),
      ("skip_unusable_rows", json(skipUnusableRows)), ("batch_size", json(batchSize)),
      ("gradient_accumulation_steps", json(gradientAccumulationSteps)),
    ]
  }

  private var samplingValues: [(String, JSONValue?)] {
    [
      ("sampling_mode", json(samplingMode)), ("sampling_difficulty", json(samplingDifficulty)),
      ("sampling_range", samplingRange.isEmpty ? nil : .numbers(samplingRange.map(\.value))),
      ("sampling_weight_field", json(samplingWeightField)),
      ("sampling_balance_field", json(samplingBalanceField)),
      ("sampling_domain_field", json(samplingDomainField)),
      ("sampling_length_tolerance", json(samplingLengthTolerance)),
      ("sampling_length_mode", json(samplingLengthMode)),
      ("curriculum_strategy", json(curriculumStrategy)), ("curriculum_initial", json(curriculumInitial)),
      ("curriculum_final", json(curriculumFinal)), ("curriculum_steps", json(curriculumSteps)),
      ("curriculum_warmup", json(curriculumWarmup)), ("curriculum_target", json(curriculumTarget)),
      ("curriculum_delta", json(curriculumDelta)), ("curriculum_patience", json(curriculumPatience)),
      ("curriculum_stages", curriculumStages.isEmpty ? nil : .array(curriculumStages.map(stage))),
    ]
  }

  /// A stage is a text, or an object where it has more than that holds.
  private func stage(_ text: String) -> JSONValue {
    text.hasPrefix("{") ? (try? JSONValue(parsing: text)) ?? .string(text) : .string(text)
  }

  private var objectiveValues: [(String, JSONValue?)] {
    [
      ("loss", json(loss)), ("replay", json(replay)), ("replay_data_path", json(replayDataPath)),
      ("replay_fraction", json(replayFraction)), ("replay_at", json(replayAt)),
      ("replay_targets", json(replayTargets)), ("self_replay_samples", json(selfReplaySamples)),
      ("self_replay_tokens", json(selfReplayTokens)),
      ("self_replay_prompts", selfReplayPrompts.isEmpty ? nil : .strings(selfReplayPrompts)),
      ("self_replay_prompted", json(selfReplayPrompted)), ("kl_to_base", json(klToBase)),
      ("kl_on", json(klOn)),
      ("ewc_lambda", json(ewcLambda)), ("ewc_rows", json(ewcRows)), ("ewc_data_path", json(ewcDataPath)),
      ("l2_sp_lambda", json(l2SpLambda)), ("tasks", tasks.isEmpty ? nil : .array(tasks.map(\.json))),
      ("tasks_weighting", json(tasksWeighting)), ("tasks_weighting_rate", json(tasksWeightingRate)),
      ("tasks_gradnorm_alpha", json(tasksGradnormAlpha)), ("tasks_schedule", json(tasksSchedule)),
    ]
  }

  private var tierValues: [(String, JSONValue?)] {
    [
      ("num_tiers", json(numTiers)),
      ("tier_update_frequencies", tierUpdateFrequencies.isEmpty ? nil : .numbers(tierUpdateFrequencies)),
      ("tier_assignment_strategy", json(tierAssignmentStrategy)), ("tier_order", json(tierOrder)),
      ("manual_tier_map", manualTierMap.isEmpty ? nil : .array(manualTierMap.map(\.json))),
      ("default_tier", json(defaultTier)), ("inactive_gradients", json(inactiveGradients)),
      ("module_type_tiers", json(moduleTypeTiers)), ("tier_seed", json(tierSeed)),
      ("importance_steps", json(importanceSteps)),
      ("tier_phase", wordOrNumbers(tierPhase)), ("tier_lr_scale", wordOrNumbers(tierLrScale)),
      ("flush_every", json(flushEvery)), ("tier_mode", json(tierMode)),
      ("consolidate_alpha", alpha), ("consolidate_moments", json(consolidateMoments)),
      ("anchor", json(anchor)),
    ]
  }

  private var optimizerValues: [(String, JSONValue?)] {
    [
      ("optimizer", json(optimizer)), ("learning_rate", json(learningRate)),
      ("lr_schedule", json(lrSchedule)), ("lr_end", json(lrEnd)), ("lr_power", json(lrPower)),
      ("plateau_factor", json(plateauFactor)), ("plateau_patience", json(plateauPatience)),
      ("freeze", freeze.isEmpty ? nil : .strings(freeze)), ("unfreeze", json(unfreeze)),
      ("unfreeze_schedule", json(unfreezeSchedule)), ("layer_lr_decay", json(layerLrDecay)),
      ("lr_groups", json(lrGroups)),
      ("adaptation_domains", adaptationDomains.isEmpty ? nil : .strings(adaptationDomains)),
      ("adaptation_domain_field", json(adaptationDomainField)),
      ("adaptation_adversary", json(adaptationAdversary)),
      ("adaptation_adversary_alpha", json(adaptationAdversaryAlpha)),
      ("adaptation_norms", json(adaptationNorms)),
      ("warmup_steps", json(warmupSteps)), ("weight_decay", json(weightDecay)), ("beta1", json(beta1)),
      ("beta2", json(beta2)), ("eps", json(eps)), ("max_grad_norm", json(maxGradNorm)),
    ]
  }

  private var runValues: [(String, JSONValue?)] {
    [
      ("num_steps", json(numSteps)), ("seed", json(seed)), ("verify_fraction", json(verifyFraction)),
      ("loss_every", json(lossEvery)), ("eval_every", json(evalEvery)),
      ("early_stop", json(earlyStop)), ("patience", json(patience)), ("min_delta", json(minDelta)),
      ("checkpoint_every", json(checkpointEvery)), ("save_best_only", json(saveBestOnly)),
      ("keep_last_n_checkpoints", json(keepLastNCheckpoints)),
      ("select_scale", json(selectScale)), ("scale_tolerance", json(scaleTolerance)),
      ("output_path", json(outputPath)),
      ("experiment_name", json(experimentName)),
    ]
  }

  /// Names, or one word that is none: a regular expression or all-linear.
  private var targetModules: JSONValue? {
    if loraTargetModules.isEmpty { return nil }
    let isPattern =
      loraTargetModules.count == 1
      && (loraTargetModules[0].contains { "\\*+?[](){}|^$".contains($0) }
        || loraTargetModules[0].lowercased() == "all-linear")
    return isPattern ? .string(loraTargetModules[0]) : .strings(loraTargetModules)
  }

  /// One word, or a number for each tier; the config says what is wrong with anything else.
  private func wordOrNumbers(_ words: [String]) -> JSONValue? {
    if words.isEmpty { return nil }
    if words.count == 1, FiniteNumber(argument: words[0]) == nil { return .string(words[0]) }
    return .array(
      words.map { word in FiniteNumber(argument: word).map { .number($0.value) } ?? .string(word) })
  }

  /// One number for all tiers, or one for each after the first.
  private var alpha: JSONValue? {
    let numbers = consolidateAlpha.map { JSONValue.number($0.value) }
    return numbers.count > 1 ? .array(numbers) : numbers.first
  }

  private func json(_ value: String?) -> JSONValue? { value.map { .string($0) } }
  private func json(_ value: Int?) -> JSONValue? { value.map { .number($0) } }
  private func json(_ value: Bool?) -> JSONValue? { value.map { .bool($0) } }
  private func json(_ patterns: [NumberPattern]) -> JSONValue? {
    patterns.isEmpty ? nil : .object(JSONObject(patterns.map { .init(key: $0.pattern, value: $0.value) }))
  }
  private func json(_ value: FiniteNumber?) -> JSONValue? { value.map { .number($0.value) } }
}

/// A number that JSON has; `nan` and `inf` are not.
struct FiniteNumber: ExpressibleByArgument {
  let value: Double

  init?(argument: String) {
    guard let value = Double(argument), value.isFinite else { return nil }
    self.value = value
  }
}

/// `PATTERN=TIER`; of several, the first that matches a module counts.
struct TierPattern: ExpressibleByArgument {
  let json: JSONValue

  init?(argument: String) {
    guard let mark = argument.lastIndex(of: "="), mark > argument.startIndex,
      let tier = Int(argument[argument.index(after: mark)...])
    else { return nil }
    json = ["pattern": .string(String(argument[..<mark])), "tier": .number(tier)]
  }
}

/// `PATTERN=NUMBER`; of several, the first that matches a module counts.
struct NumberPattern: ExpressibleByArgument {
  let pattern: String
  let value: JSONValue

  init?(argument: String) {
    guard let mark = argument.lastIndex(of: "="), mark > argument.startIndex,
      let number = FiniteNumber(argument: String(argument[argument.index(after: mark)...]))
    else { return nil }
    pattern = String(argument[..<mark])
    value = .number(number.value)
  }
}

/// `{"name": "topic", …}`
struct JSONObjectText: ExpressibleByArgument {
  let json: JSONValue

  init?(argument: String) {
    guard let json = try? JSONValue(parsing: argument), json.object != nil else { return nil }
    self.json = json
  }
}

extension ArgumentHelp {
  /// The help of a config key, with its default and what it takes.
  static func key(_ name: String) -> ArgumentHelp {
    guard let key = NestedLearningConfig.key(named: name) else { return ArgumentHelp(stringLiteral: name) }
    let shown = key.shownDefault
    let given = key.isRequired ? " (required)" : shown.isEmpty ? "" : " (default: \(shown))"
    return ArgumentHelp("\(key.help)\(given)", valueName: key.valueName)
  }
}

extension ConfigKey {
  fileprivate var shownDefault: String {
    switch defaultValue {
    case .null: ""
    case .string(let text): text
    case .array(let items): items.map { $0.string ?? $0.text }.joined(separator: " ")
    default: defaultValue.text
    }
  }

  fileprivate var valueName: String {
    switch kind {
    case .path: "path"
    case .string: "name"
    case .integer, .integers: "n"
    case .number, .numbers: "x"
    case .boolean: "true|false"
    case .strings: "name"
    case .choice(let words): words.joined(separator: "|")
    case .choiceOrNumbers(let words): words.joined(separator: "|") + "|x"
    case .tierMap: "pattern=tier"
    case .numberMap: "pattern=x"
    case .objects: "json"
    }
  }
}
