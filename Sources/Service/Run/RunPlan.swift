import Dataset
import Files
import Foundation
import JSON
import LanguageModel
import Ledger
import NestedLearning
import Tensors
import Training

/// Everything that a run is made from, read and checked: config, model, adapter, tiers and data. To make one is to
/// validate a config; nothing is written.
public struct RunPlan: Sendable {
  /// Every value in force; a loaded adapter's rank, scale and modules among them.
  public let config: NestedLearningConfig
  let folder: ModelFolder
  let newTokens: NewTokens
  let trainable: Trainable
  /// Sorted by the UTF-8 bytes of their names.
  let parameters: [ParameterInfo]
  package let scheduler: ParameterTierScheduler
  /// What training starts from.
  package let initialValues: [String: [Float]]
  let data: TrainingData
  /// That of stages of the curriculum.
  let stageData: StageData
  let sampler: StepSampler
  /// Rows that are replayed; nil without.
  let replay: ReplayRows?
  /// By row of the task, what its losses are multiplied by; nil: 1.
  private(set) var rowWeights: [Float]?
  /// Nil where nothing depends on the domains of rows.
  let rowDomains: RowDomains?
  /// What holds the parameters where training began; nil without.
  package private(set) var penalty: WeightPenalty?
  /// Lines for a person on what was measured.
  private(set) var measuredLines: [String] = []
  /// The texts that this run has the base model write; nil of others.
  let selfReplay: SelfReplayPlan?
  /// What this run measures; nil of one that trains.
  let measurement: MeasuredQuantity?
  let measurements: MeasurementStore
  let inputs: RunInputs
  let choice: ArithmeticChoice

  /// That of the workers' products.
  var precision: Precision { (config.arithmetic ?? .f32).precision }

  /// - Parameters:
  ///   - progress: is told, now and then, how far it has come
  ///   - measurements: where what was measured is, and goes
  ///   - measurement: what the run is to measure in place of training, with a config that is made for that
  /// - Throws: what is wrong, with file, line and key where there is one; `MeasurementNeeded` if something is to be
  ///   measured first.
  package init(
    config given: NestedLearningConfig, progress: Progress = Progress(),
    measurements: MeasurementStore = MeasurementStore(), measurement: MeasuredQuantity? = nil,
    digests: FileDigests = FileDigests()
  ) throws {
    self.measurements = measurements
    self.measurement = measurement
    let measured = Measured(config: given, store: measurements, digests: digests, progress: progress)
    let model = try TrainedModel(config: given, importance: measured.importance())
    var config = model.config
    trainable = model.trainable
    folder = model.folder
    parameters = model.parameters
    initialValues = try model.initialValues()
    newTokens = model.newTokens
    let tokenizer = newTokens.tokenizer
    let encoding = try RowEncoding(
      tokenizer: tokenizer, folder: folder.path, trainOn: config.trainOn, date: config.chatTemplateDate,
      tasks: model.trainable.heads, digest: digests.sha256)
    func read(_ config: NestedLearningConfig) throws -> TrainingData {
      try TrainingData(
        config: config, encoder: encoding.encoder,
        cache: encoding.cache, sha256: digests.sha256, progress: progress.tokenizing)
    }
    var data = try read(config)
    stageData = try StageData(config, read: read)
    let hasConversations = data.hasConversations || stageData.hasConversations
    if hasConversations { config.chatTemplateDate = encoding.date }
    let embedding = EmbeddingRows(tokenizer: tokenizer, model: folder.configuration)
    try embedding.check(data)
    try stageData.check(embedding)
    var inputs = try RunInputs(
      config: config, folder: folder, hasConversations: hasConversations, digests: digests)
    choice = ArithmeticChoice(folder: folder)
    config = choice.resolved(config)
    selfReplay =
      measurement == .texts ? try SelfReplayPlan(config, folder: folder, tokenizer: tokenizer) : nil
    replay = try ReplayRows(
      config: config, folder: folder, tokenizer: tokenizer, encoding: encoding, measured: measured)
    inputs.replayData = replay?.sha256
    var confidences: [Double] = []
    if let losses = try measured.tokenLosses(of: data.train) {
      if config.needsConfidence { confidences = losses.confidences }
      switch config.loss {
      case .ce, .eaft: break
      case .flow: rowWeights = losses.rowWeights
      case .stm:
        let masked = losses.masked
        guard !masked.rows.isEmpty else {
          throw DataError(
            file: config.trainDataPath, key: "loss",
            reason:
              "stm leaves nothing to train on: the model gives no token of these rows 40 % (a loss of ln 2.5)",
            remedy: "use another loss, or a model that knows more of them")
        }
        measuredLines.append(
          "stm      \(masked.tokens) tokens that the model gives less than 40 % (a loss of ln 2.5) are not trained on"
            + (masked.emptyRows > 0 ? ", nor \(masked.emptyRows) rows without others" : ""))
        data = data.training(on: masked.rows)
        if config.needsConfidence { confidences = masked.numbers.map { confidences[$0] } }
      }
    }
    penalty = WeightPenalty(config: config, start: initialValues, squares: try measured.squares())
    if let measurement {
      config = Self.sized(config, measurement, data.train, replay?.rows, selfReplay)
    }
    rowDomains = measurement == nil ? try RowDomains(of: data, model.trainable.domains, config: config) : nil
    let mixes = measurement == nil
    if !model.trainable.heads.isEmpty, config.samplingMode != .shuffle || config.curriculumStrategy != .none {
      throw ServiceError(
        "sampling_mode and curriculum_strategy are not combined with tasks, which the adapter brings",
        remedy: "leave them out: tasks_schedule says which rows come")
    }
    let traits = try RowTraits(of: data.train, config: config, confidences: confidences)
    let stages = try stageData.rows(config, run: (data.train, traits)) { config, rows in
      let measured = Measured(config: config, store: measurements, digests: digests, progress: progress)
      return try measured.tokenLosses(of: rows)?.confidences ?? []
    }
    let sampler = try StepSampler(
      rows: data.train, replay: mixes ? replay?.rows : nil, config: config, traits: traits, stages: stages)
    scheduler = try model.scheduler { sampler.firstStep(afterEpochs: $0, of: config.numSteps) }
    self.sampler = sampler
    (self.data, self.inputs, self.config) = (data, inputs, config)
  }

  /// Who is told how far a plan has come that takes long.
  public struct Progress {
    var tokenizing: ((TokenizingProgress) -> Void)?
    /// How many steps of how many of a measurement are done, where this process makes it.
    var measuring: ((_ done: Int, _ of: Int) -> Void)?

    public init(
      tokenizing: ((TokenizingProgress) -> Void)? = nil,
      measuring: ((_ done: Int, _ of: Int) -> Void)? = nil
    ) {
      self.measuring = measuring
      self.tokenizing = tokenizing
    }
  }

  /// The text of the run folder's config.json: every value, and what the run was started from.
  var recordedConfig: JSONValue {
    var members = config.json().object ?? JSONObject()
    members["inputs_sha256"] = inputs.json
    return .object(members)
  }

  /// The shape of each parameter, by name.
  package var shapes: [String: [Int]] {
    Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.shape) })
  }

  /// What is trained, as workers are told.
  var trainableJSON: JSONValue {
    switch trainable {
    case .full: "full"
    case .lora(let lora): lora.json()
    }
  }

  var usesDropout: Bool {
    guard case .lora(let lora) = trainable else { return false }
    return lora.dropout > 0 || lora.heads.contains { $0.dropout > 0 }
  }

  /// The heads of tasks.
  package var heads: [TaskHead] { trainable.heads }

  /// What gradients are of; nil: the cross entropy of every trained token.
  package var objective: Objective? {
    guard measurement == nil else { return nil }
    var objective = Objective()
    objective.byTask = !heads.isEmpty
    objective.byDomain = config.adaptationAdversary > 0
    objective.byRow = rowWeights != nil || heads.count > 1
    objective.byEntropy = config.loss == .eaft
    objective.softReplay = config.replayTargets == .soft && replay != nil
    objective.klToBase = config.klToBase
    objective.klOnAll = config.klOn == .all
    return objective.isPlain && replay == nil ? nil : objective
  }

  var usesWindows: Bool { config.inactiveGradients != .discard }

  /// - Returns: what a user should be told of the disk that the run will write to; nil if it has room.
  /// - Throws: `ServiceError` if it is too small.
  public func checkDisk() throws -> String? { try DiskNeed(plan: self).check() }

  var parameterCount: Int { scheduler.tiers.reduce(0) { $0 + $1.parameterCount } }

  /// What the state holds at most: parameters, both moments, a chain for each micro-batch, slower copies with moments of
  /// their own, and where training began.
  package var stateBytes: Int {
    var values = 3 + (usesWindows ? config.gradientAccumulationSteps : 0)
    if let periods = scheduler.copyFrequencies {
      values += (periods.count - 1) * (config.consolidateMoments == .interpolate ? 3 : 1)
      values += config.anchor > 0 ? 1 : 0
    }
    return parameterCount * 4 * values
  }

  /// What a checkpoint takes: an adapter is written in two forms, with the tokenizer's files beside it, a model in the
  /// precision of its base.
  package var checkpointBytes: Int {
    switch trainable {
    case .lora:
      ModelFolder.companionFiles.reduce(parameterCount * 4 * 2) {
        $0 + (FileSystem.size(folder.path + "/" + $1) ?? 0)
      }
    case .full:
      folder.configuration.tensors.reduce(0) {
        $0 + $1.shape.reduce(1, *) * (folder.weights[$1.name]?.dtype == .bf16 ? 2 : 4)
      }
    }
  }

  /// `<output_path>/<experiment_name>`
  var outputFolder: String { config.outputPath + "/" + config.experimentName }
}

extension RunPlan: RunContents {
  package var numericProfile: String {
    var parts: Set<NumericProfile.Part> = []
    if objective != nil { parts.insert(.objective) }
    if measurement?.measure != nil { parts.insert(.measure) }
    if measurement == nil, config.curriculumStrategy.followsEvaluations {
      parts.insert(.accuracy)
    } else if config.selectScale {
      parts.insert(.scale)
    }
    if !heads.isEmpty { parts.insert(.tasks) }
    if rowDomains != nil { parts.insert(.domains) }
    return NumericProfile.name(of: precision, parts)
  }

  package func epoch(after step: Int) -> Int { sampler.epoch(after: step) }

  package var rowsCut: (train: RowsCut, validation: RowsCut) {
    (RowsCut(data.longRows.train), RowsCut(data.longRows.validation))
  }

  /// Writes a checkpoint's tensors: the adapter in both forms, or the whole model.
  package func write(parameters: [String: [Float]], scale: Double, to folder: String) throws {
    var tensors: [String: HostTensor] = [:]
    for (name, shape) in shapes { tensors[name] = HostTensor(shape: shape, values: parameters[name] ?? []) }
    switch trainable {
    case .lora(let specification):
      let saved = Set(specification.trainedTensors)
      let others = tensors.filter { $0.key.hasPrefix(TaskHead.prefix) || Domains.owns($0.key) }
      try AdapterWriter.write(
        AdapterWeights(
          specification: specification.scaled(by: scale),
          tensors: tensors.filter { !saved.contains($0.key) && others[$0.key] == nil },
          replaced: tensors.filter { saved.contains($0.key) }, heads: others), base: self.folder.path,
        model: self.folder.configuration, to: folder)
      // For whoever uses the adapter; nothing of the run depends on them.
      try ModelFolder.copyCompanions(from: self.folder.path, to: folder, required: false)
      if !newTokens.tokenizer.addedHere.isEmpty { try TokenizerWriter.write(newTokens.tokenizer, to: folder) }
    case .full:
      // In the precision of the base model, whose place the folder takes; the state keeps the f32 masters.
      let storesBF16 = self.parameters.contains { self.folder.weights[$0.name]?.dtype == .bf16 }
      try CheckpointModelWriter.write(tensors, base: self.folder, as: storesBF16 ? .bf16 : .f32, to: folder)
    }
  }
}
