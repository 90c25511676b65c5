import NestedLearning
import Training

/// What a training is told to do after a step or an evaluation.
public enum TrainingDecision: Sendable {
  case goOn
  /// End after this step, with a final checkpoint.
  case stop
}

/// One step that was applied.
public struct TrainingStep: Sendable {
  /// 1-based.
  public let step: Int
  /// Mean loss in nats over the trained tokens of the step's task rows; nil if none was computed (`loss_every`).
  public let loss: Double?
  /// The step's trained tokens, those of replayed rows included.
  public let tokens: Int
  /// Mean loss in nats over the trained tokens of replayed rows; nil at a step without any.
  public let replayLoss: Double?
  /// KL(p_base ‖ p) in nats, the sum over the tokens that it is wanted of (`kl_on`) divided by all trained tokens of the
  /// step; nil in a run whose objective is the plain cross entropy.
  public let klToBase: Double?
  /// The tiers that were updated, their rates, and the norms of their gradients.
  public let outcome: StepOutcome
  /// Updates applied so far, one count a tier.
  public let updateCounts: [Int]
  /// How the step's rows were taken; nil where nothing goes by how difficult they are.
  public let sampling: StepSampling?
  public let seconds: Double

  init(
    step: Int, losses: StepLosses, outcome: StepOutcome, sampling: StepSampling?, updateCounts: [Int],
    seconds: Double
  ) {
    self.step = step
    (loss, tokens, replayLoss) = (losses.meanTask, losses.tokens, losses.meanReplay)
    klToBase = losses.terms.flatMap { losses.tokens > 0 ? $0.divergence / Double(losses.tokens) : nil }
    self.outcome = outcome
    self.updateCounts = updateCounts
    self.sampling = sampling
    self.seconds = seconds
  }
}

/// One evaluation over the validation rows.
public struct TrainingEvaluation: Sendable {
  /// The step after which it took place.
  public let step: Int
  /// Mean loss in nats over the trained tokens of all rows.
  public let loss: Double
  /// Whether it is the lowest so far.
  public let isBest: Bool
  /// Share of these tokens that were right, where a curriculum follows it.
  public let accuracy: Double?
}

/// What is called in the course of a training, on the thread that trains. An error that one of them throws ends the
/// training, and `train` throws it.
public struct TrainingCallbacks {
  public var onStep: (TrainingStep) throws -> TrainingDecision
  public var onEvaluation: (TrainingEvaluation) throws -> TrainingDecision
  /// Takes the folder of a checkpoint that was written.
  public var onCheckpoint: (String) throws -> Void
  /// With `select_scale`: takes a smaller scale of the adapter, and the validation loss there.
  public var onScale: (_ scale: Double, _ loss: Double) throws -> Void

  public init(
    onStep: @escaping (TrainingStep) throws -> TrainingDecision = { _ in .goOn },
    onEvaluation: @escaping (TrainingEvaluation) throws -> TrainingDecision = { _ in .goOn },
    onCheckpoint: @escaping (String) throws -> Void = { _ in },
    onScale: @escaping (_ scale: Double, _ loss: Double) throws -> Void = { _, _ in }
  ) {
    self.onStep = onStep
    self.onEvaluation = onEvaluation
    self.onCheckpoint = onCheckpoint
    self.onScale = onScale
  }
}

/// How a training ended.
public struct TrainingResult: Sendable {
  public enum Ending: Sendable {
    case completed
    /// The validation loss no longer fell (`early_stop`).
    case stoppedEarly
    /// A callback said so.
    case stopped
  }

  public let ending: Ending
  /// Steps applied.
  public let steps: Int
  /// The lowest validation loss, and the step after which it was measured; nil without an evaluation.
  public let best: (loss: Double, step: Int)?
  /// The folder of the final checkpoint.
  public let finalCheckpoint: String
  /// SHA-256 of the whole state (parameters, moments and windows), as `nl-coord status --digest` prints it.
  public let stateDigest: String
}
