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
  let sampler: StepSampler
  /// Rows that are replayed; nil without.
  let replay: ReplayRows?
  let inputs: RunInputs
  private let choice: ArithmeticChoice

  /// That of the workers' products.
  var precision: Precision { (config.arithmetic ?? .f32).precision }

  /// - Throws: what is wrong, with file, line and key where there is one.
  ///
  /// - Parameter progress: is told, now and then, how far it has come.
  public init(
    config given: NestedLearningConfig, progress: Progress = Progress()
  ) throws {
    let model = try TrainedModel(config: given)
    var config = model.config
    trainable = model.trainable
    folder = model.folder
    parameters = model.parameters
    scheduler = model.scheduler
    initialValues = try model.initialValues()
    newTokens = model.newTokens
    let tokenizer = newTokens.tokenizer
    let digests = FileDigests()
    let encoding = try RowEncoding(
      tokenizer: tokenizer, folder: folder.path, trainOn: config.trainOn, date: config.chatTemplateDate,
      digest: digests.sha256)
    data = try TrainingData(
      config: config, encoder: encoding.encoder,
      cache: encoding.cache, sha256: digests.sha256, progress: progress.tokenizing)
    if data.hasConversations { config.chatTemplateDate = encoding.date }
    try EmbeddingRows(tokenizer: tokenizer, model: folder.configuration).check(data)
    var inputs = try RunInputs(
      config: config, folder: folder, hasConversations: data.hasConversations, digests: digests)
    choice = ArithmeticChoice(folder: folder)
    config = choice.resolved(config)
    replay = try ReplayRows(
      config: config, folder: folder, tokenizer: tokenizer, encoding: encoding,
      precision: (config.arithmetic ?? .f32).precision, model: inputs.model, digests: digests,
      progress: progress)
    inputs.replayData = replay?.sha256
    sampler = try StepSampler(rows: data.train, replay: replay?.rows, config: config)
    (self.inputs, self.config) = (inputs, config)
  }

  /// Who is told how far a plan has come that takes long.
  public struct Progress {
    var tokenizing: ((TokenizingProgress) -> Void)?
    /// How many texts of how many the base model has written.
    var writing: ((_ done: Int, _ of: Int) -> Void)?

    public init(
      tokenizing: ((TokenizingProgress) -> Void)? = nil, writing: ((_ done: Int, _ of: Int) -> Void)? = nil
    ) {
      self.tokenizing = tokenizing
      self.writing = writing
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
    if case .lora(let lora) = trainable { lora.dropout > 0 } else { false }
  }

  /// What gradients are of; nil: the cross entropy of every trained token.
  package var objective: Objective? {
    var objective = Objective()
    objective.byEntropy = config.loss == .eaft
    objective.softReplay = config.replayTargets == .soft && replay != nil
    objective.klToBase = config.klToBase
    objective.klOnAll = config.klOn == .all
    return objective.isPlain && replay == nil ? nil : objective
  }

  var usesWindows: Bool { config.inactiveGradients != .discard }

  /// What a user should be told before training, a line each; for standard error.
  public var warnings: [String] {
    folder.warnings + scheduler.movementWarnings(numSteps: config.numSteps)
      + [longEvaluations, data.notKept.first].compactMap(\.self)
  }

  /// Evaluations that take longer than the steps between them: a forward pass is a third of a training step.
  private var longEvaluations: String? {
    let (rows, between) = (data.validation.count, config.rowsPerStep * config.evalEvery)
    guard !config.packing, rows > 1000, rows / 3 > between else { return nil }
    return
      "each evaluation computes \(rows) rows, and takes longer than the \(config.evalEvery) steps between two "
      + "(\(between) rows); raise eval_every, or name fewer rows in val_data_path"
  }

  /// - Returns: what a user should be told of the disk that the run will write to; nil if it has room.
  /// - Throws: `ServiceError` if it is too small.
  public func checkDisk() throws -> String? { try DiskNeed(plan: self).check() }

  /// What would be trained, for a person.
  public var summary: String {
    var lines = [
      "Model    \(folder.path) (\(folder.configuration.modelType), \(folder.configuration.layerCount) layers)"
    ]
    switch trainable {
    case .full: lines.append("Trained  all weights, \(parameterCount) parameters")
    case .lora(let lora):
      lines.append(
        "Trained  LoRA of \(Self.ranks(of: lora)), on \(lora.targetModules.joined(separator: ", "))"
          + (lora.isRegular ? "" : " (\(lora.modules.count) modules)") + ": \(parameterCount) parameters")
      if !lora.trainedTensors.isEmpty {
        lines.append(
          "         as a whole: \(lora.trainedTensors.joined(separator: ", ")); in the checkpoints' folder peft alone, since "
            + "mlx-lm's form has no place for them")
      }
    }
    if let line = newTokens.line { lines.append(line) }
    lines += tierLines
    lines.append("Data     \(data.train.count) rows to train, \(data.validation.count) to validate")
    lines += data.summary.map { "         \($0)" }
    if let replay { lines += replay.summary }
    lines.append(
      "Steps    \(config.numSteps) of \(config.gradientAccumulationSteps) micro-batches of \(config.batchSize) \(config.packing ? "packs" : "rows")"
    )
    if let arithmetic = arithmeticLine { lines.append(arithmetic) }
    lines.append("Output   \(outputFolder)")
    return lines.joined(separator: "\n")
  }

  private var tierLines: [String] {
    guard let periods = scheduler.copyFrequencies else {
      return scheduler.tiers.map { "Tier \($0.index)   \($0.clockText), \($0.parameterCount) parameters" }
    }
    return periods.enumerated().map { level, period in
      level == 0
        ? "Tier 0   every step, all \(parameterCount) parameters"
        : "Tier \(level)   a copy of them, follows every \(period) steps by \(config.consolidationShares[level - 1])"
    }
  }

  /// What products are computed in, if it is not f32, or if something else were much faster and as exact.
  private var arithmeticLine: String? {
    guard let arithmetic = config.arithmetic else { return nil }
    guard arithmetic == .f32 else { return "Products in \(arithmetic.rawValue)" }
    guard choice.exact != .f32 else { return nil }
    return
      "Products in f32; on this machine arithmetic \(choice.exact.rawValue) is about twice as fast, and as exact"
  }

  private static func ranks(of lora: LoRASpecification) -> String {
    let ranks = Set(lora.modules.map(lora.rank)).sorted().map(String.init).joined(separator: ", ")
    let scales = Set(lora.modules.map { lora.scale(of: $0) }).sorted().map { "\($0)" }.joined(separator: ", ")
    return "rank \(ranks), scale \(scales)"
  }

  private var parameterCount: Int { scheduler.tiers.reduce(0) { $0 + $1.parameterCount } }

  /// What the state holds at most: parameters, both moments, a chain for each micro-batch, slower copies with moments of
  /// their own, and where training began.
  var stateBytes: Int {
    var values = 3 + (usesWindows ? config.gradientAccumulationSteps : 0)
    if let periods = scheduler.copyFrequencies {
      values += (periods.count - 1) * (config.consolidateMoments == .interpolate ? 3 : 1)
      values += config.anchor > 0 ? 1 : 0
    }
    return parameterCount * 4 * values
  }

  /// What a checkpoint takes: an adapter is written in two forms, with the tokenizer's files beside it, a model in the
  /// precision of its base.
  var checkpointBytes: Int {
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
  package var numericProfile: String { NumericProfile.name(of: precision, hasObjective: objective != nil) }

  package func epoch(after step: Int) -> Int { sampler.epoch(after: step) }

  package var rowsCut: (train: RowsCut, validation: RowsCut) {
    (RowsCut(data.longRows.train), RowsCut(data.longRows.validation))
  }

  /// Writes a checkpoint's tensors: the adapter in both forms, or the whole model.
  package func write(parameters: [String: [Float]], to folder: String) throws {
    var tensors: [String: HostTensor] = [:]
    for (name, shape) in shapes { tensors[name] = HostTensor(shape: shape, values: parameters[name] ?? []) }
    switch trainable {
    case .lora(let specification):
      let saved = Set(specification.trainedTensors)
      try AdapterWriter.write(
        AdapterWeights(
          specification: specification, tensors: tensors.filter { !saved.contains($0.key) },
          replaced: tensors.filter { saved.contains($0.key) }), base: self.folder.path,
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
