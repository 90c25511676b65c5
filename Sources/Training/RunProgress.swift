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
  /// The number of the tier plan in force.
  package private(set) var plan = 1

  package init() {}

  /// The next thing to do under `config`.
  package func next(_ config: NestedLearningConfig) -> Action {
    if step > 0 {
      let last = step == config.numSteps
      if evaluatedStep < step && (step % config.evalEvery == 0 || last), !isUnchanged(config) {
        return .evaluate
      }
      if savedBestStep < bestStep { return .saveBest }
      if checkpointStep < step && step % config.checkpointEvery == 0 && !config.saveBestOnly {
        return .saveCheckpoint
      }
      if config.earlyStop && evaluationsWithoutGain >= config.patience { return .finish(.stoppedEarly) }
      if last { return .finish(.completed) }
    }
    return .train(step: step + 1)
  }

  /// Whether what an evaluation would be of is what the last one was of: the slowest copy has not followed since.
  private func isUnchanged(_ config: NestedLearningConfig) -> Bool {
    guard config.tierMode == .consolidate, evaluatedStep > 0 else { return false }
    let periods = config.tierUpdateFrequencies
    return Consolidation.lastBoundary(periods, upTo: evaluatedStep)
      == Consolidation.lastBoundary(periods, upTo: step)
  }

  package mutating func applied(step: Int) { self.step = step }

  package mutating func evaluated(loss: Double, _ config: NestedLearningConfig) {
    evaluatedStep = step
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
  }

  package mutating func savedBest() { savedBestStep = bestStep }
  package mutating func savedCheckpoint() { checkpointStep = step }
}

extension RunProgress {
  /// For a snapshot.
  package var json: JSONValue {
    [
      "step": .number(step), "best_loss": bestLoss.map { .number($0) } ?? nil,
      "patience_loss": patienceLoss.map { .number($0) } ?? nil,
      "evaluations_without_gain": .number(evaluationsWithoutGain), "evaluated_step": .number(evaluatedStep),
      "best_step": .number(bestStep), "saved_best_step": .number(savedBestStep),
      "checkpoint_step": .number(checkpointStep), "plan": .number(plan),
    ]
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
  }
}
