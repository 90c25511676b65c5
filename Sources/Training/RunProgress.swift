import JSON
import NestedLearning

/// Where a run stands between steps, and what is to be done next: pure, so that a resumed run takes the same turns.
package struct RunProgress: Sendable, Equatable {
  /// One thing to do. Steps are 1-based.
  package enum Action: Equatable {
    case train(step: Int)
    case evaluate
    case saveBest
    case saveCheckpoint
    /// After training: evaluate the adapter at a smaller scale, and write the smallest that holds.
    case evaluateScale(Double)
    case saveScaled
    case finish(Ending)
  }

  package enum Ending: String, Sendable {
    case completed
    case stoppedEarly = "stopped early"
  }

  /// Steps applied so far.
  package private(set) var step = 0
  package private(set) var bestLoss: Double?
  /// The loss that an evaluation must beat by `min_delta`, and how many in a row did not.
  private(set) var patienceLoss: Double?
  private(set) var evaluationsWithoutGain = 0
  /// The last step at which each of these was done.
  private(set) var evaluatedStep = 0
  package private(set) var bestStep = 0
  package private(set) var savedBestStep = 0
  private(set) var checkpointStep = 0
  /// Of the last evaluation.
  private(set) var lastLoss: Double?
  /// `select_scale`: what was tried, from the largest scale on; and whether what came of it is written.
  package private(set) var trials: [ScaleTrial] = []
  private(set) var hasSavedScaled = false
  /// Of `lr_schedule: plateau`, once there was an evaluation.
  private var plateau: PlateauState?
  /// What later steps follow of evaluations.
  package private(set) var followed = FollowedEvaluations()
  /// The number of the newest tier plan.
  package private(set) var plan = 1

  package init() {}

  /// The next thing to do under `config`.
  ///
  /// - Parameter isMeasuring: there is nothing to evaluate or to save.
  package func next(_ config: NestedLearningConfig, isMeasuring: Bool = false) -> Action {
    if isMeasuring { return step < config.numSteps ? .train(step: step + 1) : .finish(.completed) }
    if step > 0 {
      let last = step == config.numSteps
      if evaluatedStep < step && (step % config.evalEvery == 0 || last), !isUnchanged(config) {
        return .evaluate
      }
      if savedBestStep < bestStep { return .saveBest }
      if checkpointStep < step && step % config.checkpointEvery == 0 && !config.saveBestOnly {
        return .saveCheckpoint
      }
      if config.earlyStop && evaluationsWithoutGain >= config.patience {
        return finish(.stoppedEarly, config)
      }
      if last { return finish(.completed, config) }
    }
    return .train(step: step + 1)
  }

  /// Scales s = .95, .90, … .05 are tried until the first whose loss exceeds that of 1 by more than the tolerance.
  private func finish(_ ending: Ending, _ config: NestedLearningConfig) -> Action {
    guard config.selectScale, lastLoss != nil, !hasSavedScaled else { return .finish(ending) }
    guard trials.last?.holds ?? true, trials.count < 19 else { return .saveScaled }
    return .evaluateScale(Double(19 - trials.count) / 20)
  }

  /// The base learning rate that evaluations have led to; nil: the config's.
  package var baseRate: Double? { plateau?.rate }

  /// The smallest scale that holds; 1 if none does.
  package var selectedScale: Double { trials.last(where: \.holds)?.scale ?? 1 }

  package mutating func tried(scale: Double, loss: Double, _ config: NestedLearningConfig) -> ScaleTrial {
    let trial = ScaleTrial(
      scale: scale, loss: loss, holds: loss <= (lastLoss ?? .infinity) + config.scaleTolerance)
    trials.append(trial)
    return trial
  }

  package mutating func savedScaled() { hasSavedScaled = true }

  /// Whether what an evaluation would be of is what the last one was of: the slowest copy has not followed since.
  private func isUnchanged(_ config: NestedLearningConfig) -> Bool {
    guard config.tierMode == .consolidate, evaluatedStep > 0 else { return false }
    let periods = config.tierUpdateFrequencies
    return Consolidation.lastBoundary(periods, upTo: evaluatedStep)
      == Consolidation.lastBoundary(periods, upTo: step)
  }

  package mutating func applied(step: Int) { self.step = step }
  /// Another tier plan begins.
  package mutating func adopted(plan: Int) { self.plan = plan }

  /// - Parameters:
  ///   - accuracy: of the same evaluation, if it counted right tokens
  ///   - worst: the number of the worst task, if there are any.
  package mutating func evaluated(
    loss: Double, accuracy: EvaluatedAccuracy? = nil, worst: Int? = nil, _ config: NestedLearningConfig
  ) {
    evaluatedStep = step
    if let accuracy { followed.accuracies.append(accuracy) }
    if let worst, config.tasksSchedule == .worstFirst {
      followed.worst.append(WorstTask(step: step, task: worst))
    }
    lastLoss = loss
    if loss < bestLoss ?? .infinity {
      bestLoss = loss
      bestStep = step
    }
    if loss < (patienceLoss ?? .infinity) - config.minDelta {
      patienceLoss = loss
      evaluationsWithoutGain = 0
    } else {
      evaluationsWithoutGain += 1
    }
    guard config.lrSchedule == .plateau else { return }
    var plateau = plateau ?? PlateauState(rate: config.learningRate)
    _ = plateau.evaluated(loss: loss, config)
    self.plateau = plateau
  }

  package mutating func savedBest() { savedBestStep = bestStep }
  package mutating func savedCheckpoint() { checkpointStep = step }
}

extension RunProgress {
  /// For a snapshot.
  package var json: JSONValue {
    var members: JSONObject = [
      "step": .number(step), "best_loss": bestLoss.map { .number($0) } ?? nil,
      "patience_loss": patienceLoss.map { .number($0) } ?? nil,
      "evaluations_without_gain": .number(evaluationsWithoutGain), "evaluated_step": .number(evaluatedStep),
      "best_step": .number(bestStep), "saved_best_step": .number(savedBestStep),
      "checkpoint_step": .number(checkpointStep), "plan": .number(plan),
    ]
    members["last_loss"] = lastLoss.map { .number($0) }
    if !followed.accuracies.isEmpty {
      members["accuracies"] = .array(followed.accuracies.map { .numbers([$0.step, $0.correct, $0.tokens]) })
    }
    if !trials.isEmpty { members["scales"] = scaleCurve }
    if hasSavedScaled { members["saved_scaled"] = true }
    if let plateau {
      members["plateau"] = [
        "rate": .number(plateau.rate), "best": plateau.best.map { .number($0) } ?? .null,
        "without_gain": .number(plateau.withoutGain),
      ]
    }
    if !followed.worst.isEmpty {
      members["worst_tasks"] = .array(followed.worst.map { .numbers([$0.step, $0.task]) })
    }
    return .object(members)
  }

  /// - Throws: `TrainingError` if a snapshot lacks a member.
  package init(json: JSONValue) throws {
    func number(_ key: String) throws -> Int {
      guard let value = json[key]?.int else {
        throw TrainingError("the snapshot's progress lacks \"\(key)\"")
      }
      return value
    }
    step = try number("step")
    bestLoss = json["best_loss"]?.double
    patienceLoss = json["patience_loss"]?.double
    evaluationsWithoutGain = try number("evaluations_without_gain")
    evaluatedStep = try number("evaluated_step")
    bestStep = try number("best_step")
    savedBestStep = try number("saved_best_step")
    checkpointStep = try number("checkpoint_step")
    // Snapshots of before have no other.
    plan = json["plan"]?.int ?? 1
    lastLoss = json["last_loss"]?.double
    hasSavedScaled = json["saved_scaled"]?.bool ?? false
    if let member = json["plateau"] {
      guard let rate = member["rate"]?.double, let count = member["without_gain"]?.int else {
        throw TrainingError("the snapshot's progress has a plateau that cannot be read")
      }
      plateau = PlateauState(rate: rate, best: member["best"]?.double, withoutGain: count)
    }
    followed.worst = try (json["worst_tasks"]?.array ?? []).map { item in
      guard let pair = item.array?.compactMap(\.int), pair.count == 2 else {
        throw TrainingError("the snapshot's progress has a task that cannot be read")
      }
      return WorstTask(step: pair[0], task: pair[1])
    }
    followed.accuracies = try (json["accuracies"]?.array ?? []).map { item in
      let numbers = item.array?.compactMap(\.int) ?? []
      guard numbers.count == 3 else {
        throw TrainingError("the snapshot's progress has an accuracy that cannot be read")
      }
      return EvaluatedAccuracy(step: numbers[0], correct: numbers[1], tokens: numbers[2])
    }
    trials = try (json["scales"]?.array ?? []).map { item in
      guard let scale = item["scale"]?.double, let loss = item["loss"]?.double,
        let holds = item["holds"]?.bool
      else { throw TrainingError("the snapshot's progress has a scale that cannot be read") }
      return ScaleTrial(scale: scale, loss: loss, holds: holds)
    }
  }

  /// What was tried, for people and for a snapshot.
  package var scaleCurve: JSONValue {
    .array(
      trials.map { ["scale": .number($0.scale), "loss": .number($0.loss), "holds": .bool($0.holds)] })
  }
}
