import JSON

/// Everything that decides a run: each key of a config file is a property here, with its default.
///
/// `keys` lists the keys with their ranges and help; a config is read with `init(text:file:format:overrides:)`
/// and written, defaults included, with `json()`.
public struct NestedLearningConfig: Sendable, Equatable {
  /// The name of a `TrainingPreset` whose values the config began with.
  public var preset: String?

  // Model and adapter
  public var baseModelPath = ""
  public var adapterPath: String?
  public var trainable = TrainableWeights.lora
  public var loraRank = 8
  public var loraAlpha = 16.0
  public var loraDropout = 0.0
  public var useRslora = false
  public var loraTargetModules = NestedLearningConfig.allTargetModules
  /// Instead of `loraTargetModules`: `all-linear`, or a regular expression for whole paths.
  public var loraTargetPattern: String?
  public var excludeModules: ModuleNames?
  public var layersToTransform: [Int]?
  /// The last so many layers; nil: all.
  public var numLayers: Int?
  public var rankPattern: [ModuleValue<Int>] = []
  public var alphaPattern: [ModuleValue<Double>] = []
  /// Modules that are trained as a whole beside the LoRA pairs.
  public var modulesToSave: [String] = []
  public var addTokens: [String] = []
  /// Nil: what `mixedPrecision` asks for, f32 by default.
  public var arithmetic: Arithmetic?
  public var mixedPrecision = MixedPrecision.off
  public var activationCheckpointing = ActivationCheckpointing.none

  // Data
  /// A file or folder; the first of `trainDataFiles` if there are several.
  public var trainDataPath = ""
  /// Several files or folders with weights; empty for one without.
  public var trainDataFiles: [WeightedPath] = []
  /// A file or folder; the first of `valDataFiles` if there are several.
  public var valDataPath: String?
  /// Several files or folders; empty for one.
  public var valDataFiles: [String] = []
  public var maxSeqLength = 512
  public var longRows = LongRows.cut
  public var trainOn = TrainOn.completions
  public var packing = false
  /// What `strftime_now` of a chat template shows, as `2026-11-29`; nil: the day on which the run is made.
  public var chatTemplateDate: String?
  public var shuffle = true
  public var skipUnusableRows = false
  public var batchSize = 1
  public var gradientAccumulationSteps = 2

  // How rows are taken
  public var samplingMode = SamplingMode.shuffle
  public var samplingDifficulty = DifficultyScorer.Kind.score
  public var samplingRange = 0.0...1.0
  /// The key of a row that has its weight; for `importance`.
  public var samplingWeightField: String?
  /// The key of a row that has its label or domain; for `balanced`.
  public var samplingBalanceField: String?
  /// The key of a row that has its domain; for `length`.
  public var samplingDomainField: String?
  public var samplingLengthTolerance = 0.2
  public var samplingLengthMode = LengthMode.uniform
  public var curriculumStrategy = CurriculumKind.none
  /// Nil: .01 for Platanios' two, .3 for others.
  public var curriculumInitial: Double?
  public var curriculumFinal = 1.0
  /// Nil: `numSteps`.
  public var curriculumSteps: Int?
  public var curriculumWarmup = 0
  public var curriculumTarget = 0.7
  public var curriculumDelta = 0.05
  /// Nil: 3 for `competence`, 1 for `stages`.
  public var curriculumPatience: Int?
  /// Empty: `CurriculumStage.standard`.
  public var curriculumStages: [CurriculumStage] = []

  // Tiers
  public var numTiers = 3
  public var tierUpdateFrequencies = [1, 2, 4]
  public var tierAssignmentStrategy = TierAssignmentStrategy.layerDepth
  public var tierOrder = TierOrder.shallowFast
  public var manualTierMap: ManualTierMap?
  public var defaultTier: Int?
  /// Empty: attention in tier 0, everything else in the last one.
  public var moduleTypeTiers: [ModuleTypeTier] = []
  /// Nil: the run's `seed`.
  public var tierSeed: UInt64?
  /// Steps over which `parameter_importance` looks at gradients.
  public var importanceSteps = 100
  public var tierPhase = TierPhase.aligned
  public var inactiveGradients = InactiveGradients.discard
  public var tierLrScale = TierLearningRateScale.none
  public var flushEvery = 8
  public var tierMode = TierMode.layers
  /// α of each tier after the first; one number for all of them.
  public var consolidateAlpha = [0.5]
  public var consolidateMoments = ConsolidateMoments.keep
  public var anchor = 0.0

  // What gradients are of
  public var loss = LossKind.ce
  public var replay = ReplaySource.data
  public var replayDataPath: String?
  public var replayFraction = 0.25
  public var replayAt = ReplayAt.always
  public var replayTargets = ReplayTargets.hard
  public var selfReplaySamples = 512
  /// Nil: `maxSeqLength`.
  public var selfReplayTokens: Int?
  public var selfReplayPrompts: [String] = []
  public var selfReplayPrompted = 0.5
  public var klToBase = 0.0
  public var klOn = KLRows.replay
  /// λ of elastic weight consolidation; 0: none.
  public var ewcLambda = 0.0
  public var ewcRows = 256
  /// Nil: the rows that are replayed.
  public var ewcDataPath: String?
  /// λ of L2-SP; 0: none.
  public var l2spLambda = 0.0

  /// Heads over the shared transformer; empty: the model's own alone.
  public var tasks: [TaskDefinition] = []
  public var tasksWeighting = TaskWeighting.equal
  /// Of ln σ² of the tasks, in place of `learningRate`.
  public var tasksWeightingRate = 0.025
  /// α of GradNorm.
  public var tasksGradnormAlpha = 1.5
  public var tasksSchedule = TaskSchedule.proportional

  // Optimizer
  public var optimizer = OptimizerKind.adam
  public var learningRate = 1e-5
  public var lrSchedule = LearningRateScheduleKind.constant
  /// What the rate falls to; of `plateau`, its minimum, where 0 stands for 1e-7.
  public var lrEnd = 0.0
  public var lrPower = 1.0
  public var plateauFactor = 0.5
  public var plateauPatience = 5

  // Which layers learn, when, and how fast
  public var freeze: [FrozenPart] = []
  public var unfreeze = Unfreezing.none
  public var unfreezeSchedule: [UnfreezeStage] = []
  public var layerLrDecay = 1.0
  /// Domains of rows; empty where nothing depends on them.
  public var adaptationDomains: [String] = []
  public var adaptationDomainField = "domain"
  /// λ that gradient reversal ends with; 0: no adversary.
  public var adaptationAdversary = 0.0
  public var adaptationAdversaryAlpha = 10.0
  public var adaptationNorms = AdaptedNorms.none
  public var lrGroups: [ModuleValue<Double>] = []
  public var warmupSteps = 100
  public var weightDecay = 0.0
  public var beta1 = 0.9
  public var beta2 = 0.999
  public var eps = 1e-8
  /// Nil: gradients are not clipped. A config says so with `null` or 0.
  public var maxGradNorm: Double? = 1

  // Run
  public var numSteps = 1000
  public var seed: UInt64 = 42
  public var verifyFraction = 0.01
  public var lossEvery = 1
  public var evalEvery = 100
  public var earlyStop = true
  public var patience = 5
  public var minDelta = 1e-4
  public var checkpointEvery = 100
  public var saveBestOnly = false
  public var keepLastNCheckpoints = 5
  /// Whether the smallest scale of the adapter that holds the validation loss is looked for after training.
  public var selectScale = false
  public var scaleTolerance = 0.01
  public var outputPath = "./runs"
  public var experimentName = ""

  /// The keys that the file or a flag gave, as opposed to defaults.
  public internal(set) var explicitKeys: Set<String> = []
  /// The keys among these that a flag gave: their paths are relative to the working folder.
  public internal(set) var flagKeys: Set<String> = []

  /// Every value at its default, paths and name still empty.
  init() {}

  /// A config made in code, every other value at its default. Check it with `validate()` once it is filled in.
  public init(baseModelPath: String, trainDataPath: String, experimentName: String) {
    self.baseModelPath = baseModelPath
    self.trainDataPath = trainDataPath
    self.experimentName = experimentName
  }

  /// The linear layers of a transformer block that LoRA can adapt.
  public static let allTargetModules = [
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
  ]

  /// The same model, adapter and data, all parameters in one tier that learns at each step, and everything else at its
  /// default: for whoever looks at them and does not train.
  public var undivided: NestedLearningConfig {
    var config = NestedLearningConfig()
    for key in Self.keys where Self.keysOfModelAndData.contains(key.name) {
      try? key.read(&config, key.write(self))
    }
    config.numTiers = 1
    config.tierUpdateFrequencies = [1]
    config.explicitKeys = explicitKeys
    return config
  }

  private static let keysOfModelAndData: Set = [
    "base_model_path", "adapter_path", "trainable", "lora_rank", "lora_alpha", "use_rslora",
    "lora_target_modules",
    "exclude_modules", "layers_to_transform", "num_layers", "rank_pattern", "alpha_pattern",
    "modules_to_save", "tasks", "tasks_weighting",
    "add_tokens", "arithmetic", "mixed_precision", "activation_checkpointing", "train_data_path",
    "val_data_path",
    "max_seq_length", "long_rows", "train_on", "chat_template_date", "skip_unusable_rows", "seed",
    "output_path",
    "experiment_name",
  ]

  /// Rows that one step takes.
  public var rowsPerStep: Int { batchSize * gradientAccumulationSteps }

  /// Every value in force, in the order of `keys`; what has no value is null. Reads back as the same config.
  public func json() -> JSONValue {
    .object(JSONObject(Self.keys.map { .init(key: $0.name, value: $0.write(self)) }))
  }

  /// The keys whose values are others than in `config`.
  public func keys(differingFrom config: NestedLearningConfig) -> [String] {
    Self.keys.filter { $0.write(self) != $0.write(config) }.map(\.name)
  }

  /// Makes every path absolute: those of the file relative to `fileFolder`, those of flags and the default of
  /// `output_path` relative to `workingFolder`. Both folders are absolute. Nothing on disk is looked at.
  public mutating func resolvePaths(fileFolder: String, workingFolder: String) {
    for key in Self.keys {
      let fromFile = explicitKeys.contains(key.name) && !flagKeys.contains(key.name)
      key.mapPaths?(&self) { path in
        path.hasPrefix("/") ? path : Self.joined(fromFile ? fileFolder : workingFolder, path)
      }
    }
  }

  /// Puts every path through a function.
  public mutating func mapPaths(_ change: (String) -> String) {
    for key in Self.keys { key.mapPaths?(&self, change) }
  }

  /// Every path with its key, in the order of the keys; of a key that has several, in their order.
  public var paths: [(key: String, path: String)] {
    var (copy, paths) = (self, [(key: String, path: String)]())
    for key in Self.keys {
      key.mapPaths?(&copy) { path in
        paths.append((key.name, path))
        return path
      }
    }
    return paths
  }

  /// The keys whose values are paths, or have some in them.
  public static let keysWithPaths = keys.filter { $0.mapPaths != nil }.map(\.name)

  /// `folder/path` without `.` parts. A `..` stays: what stands before it may be a symbolic link.
  static func joined(_ folder: String, _ path: String) -> String {
    "/" + "\(folder)/\(path)".split(separator: "/").filter { $0 != "." }.joined(separator: "/")
  }
}
