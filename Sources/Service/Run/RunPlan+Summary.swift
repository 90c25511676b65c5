import LanguageModel
import NestedLearning
import Training

/// What a user is told of a run before it begins.
extension RunPlan {
  /// What a user should be told before training, a line each; for standard error.
  public var warnings: [String] {
    if measurement != nil { return [] }
    return folder.warnings + penaltyWarning + scheduler.movementWarnings(numSteps: config.numSteps)
      + scheduler.moveWarnings(config) + [longEvaluations, data.notKept.first].compactMap(\.self)
  }

  /// Evaluations that take longer than the steps between them: a forward pass is a third of a training step.
  private var longEvaluations: String? {
    let (rows, between) = (data.validation.count, config.rowsPerStep * config.evalEvery)
    guard !config.packing, rows > 1000, rows / 3 > between else { return nil }
    return
      "each evaluation computes \(rows) rows, and takes longer than the \(config.evalEvery) steps between two "
      + "(\(between) rows); raise eval_every, or name fewer rows in val_data_path"
  }

  /// What would be trained, for a person.
  public var summary: String {
    if let measurement { return measuringSummary(measurement) }
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
    if let line = headsLine { lines.append(line) }
    if let line = domainsLine { lines.append(line) }
    if let line = newTokens.line { lines.append(line) }
    lines += tierLines
    lines.append("Data     \(data.train.count) rows to train, \(data.validation.count) to validate")
    lines += (data.summary + stageData.summary(config)).map { "         \($0)" }
    if let replay { lines += replay.summary }
    lines += measuredLines + samplingLines
    lines.append(
      "Steps    \(config.numSteps) of \(config.gradientAccumulationSteps) micro-batches of \(config.batchSize) \(config.packing ? "packs" : "rows")"
    )
    if let arithmetic = arithmeticLine { lines.append(arithmetic) }
    lines.append("Output   \(outputFolder)")
    return lines.joined(separator: "\n")
  }

  /// The tasks, and what their heads are.
  private var headsLine: String? {
    guard !heads.isEmpty else { return nil }
    let tasks = heads.map { head in
      let kind = head.kind.rawValue.replacing("_", with: " ")
      let labels = head.labels.isEmpty ? "" : ", \(head.labels.count) labels"
      return "\(head.name) (\(kind)\(labels)\(head.hiddenSize.map { ", hidden layer of \($0)" } ?? ""))"
    }
    let weights = config.tasksWeighting == .equal ? "" : ", weighted by \(config.tasksWeighting.rawValue)"
    return "Tasks    " + tasks.joined(separator: ", ") + weights
  }

  /// The domains of rows, and what depends on them.
  private var domainsLine: String? {
    guard let domains = trainable.domains else { return nil }
    var uses: [String] = []
    if domains.hasDiscriminator {
      uses.append(
        "told by a discriminator, whose gradient is reversed by up to \(config.adaptationAdversary)")
    }
    switch domains.norms {
    case .none: break
    case .final: uses.append("a scale and a shift of the last norm for each")
    case .all: uses.append("a scale and a shift of every norm for each")
    }
    return "Domains  \(domains.names.joined(separator: ", ")): " + uses.joined(separator: "; ")
  }

  private func measuringSummary(_ measurement: MeasuredQuantity) -> String {
    let what =
      switch measurement {
      case .importance: "the gradients of each module, for parameter_importance"
      case .texts: "what the base model writes itself, \(config.selfReplaySamples) texts for replay self"
      case .tokenLosses: "the loss of each token of \(data.train.count) rows, for loss or sampling_difficulty"
      case .squaredGradients:
        "the squared gradients of \(config.gradientAccumulationSteps) rows, for ewc_lambda"
      }
    return "Before training, measures \(what): \(config.numSteps) step\(config.numSteps == 1 ? "" : "s")"
  }

  /// With B = 0, as fresh adapters begin, no gradient reaches A.
  private var penaltyWarning: [String] {
    guard config.ewcLambda > 0, case .lora = trainable, config.adapterPath == nil else { return [] }
    return [
      "ewc_lambda: a fresh adapter begins with B = 0, so that F is 0 for every A and only B is held; l2_sp_lambda holds both"
    ]
  }

  private var tierLines: [String] {
    guard let periods = scheduler.copyFrequencies else {
      return scheduler.tiers.map { "Tier \($0.index)   \($0.clockText), \($0.parameterCount) parameters" }
        + scheduler.stageLines
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
}
