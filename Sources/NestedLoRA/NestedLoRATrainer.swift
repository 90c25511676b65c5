import Foundation
import LanguageModel
import NestedLearning
import Service
import Training

/// Trains an adapter, or a whole model, in tiers, within this process: no coordinator, no worker, no socket.
///
/// It gives the same adapter to the bit as `nl-coord train` with the same config, whatever the number of threads. What it
/// writes is the folder `<output_path>/<experiment_name>` with config.json and checkpoints; there is no ledger, so that a
/// training that is broken off begins anew.
///
/// ```swift
/// let trainer = try NestedLoRATrainer(configFile: "demo.yaml")
/// let result = try trainer.train()
/// ```
public final class NestedLoRATrainer {
  /// Every value in force; after ``setup()`` with those that model and adapter decide.
  public private(set) var config: NestedLearningConfig
  private let threads: Int
  private var prepared: Prepared?

  private struct Prepared {
    let plan: RunPlan
    let computation: StepComputation
  }

  /// - Parameters:
  ///   - config: relative paths in it are relative to the working folder.
  ///   - threads: that compute; at least 1. No bit depends on them.
  public init(
    _ config: NestedLearningConfig, threads: Int = ProcessInfo.processInfo.activeProcessorCount
  ) {
    self.config = config
    self.threads = max(1, threads)
  }

  /// - Parameter configFile: JSON or YAML, as for `nl-coord train`; paths in it are relative to it.
  /// - Throws: `ConfigError` that names file, line and key.
  public convenience init(
    configFile: String, threads: Int = ProcessInfo.processInfo.activeProcessorCount
  ) throws {
    self.init(try RunConfig.read(file: configFile, overrides: []), threads: threads)
  }

  /// Reads model, adapter and data, divides the parameters into tiers, and checks everything. ``train(_:)`` does so by
  /// itself where it was not done.
  ///
  /// - Throws: what is wrong, with file, line and key where there is one. Nothing was written then.
  public func setup() throws {
    guard prepared == nil else { return }
    try config.validate()
    config.resolvePaths(
      fileFolder: FileManager.default.currentDirectoryPath,
      workingFolder: FileManager.default.currentDirectoryPath)
    let plan = try RunPlan.measuring(config: config, threads: threads)
    config = plan.config
    prepared = Prepared(plan: plan, computation: try StepComputation(plan: plan, threads: threads))
  }

  /// Which parameters are in which tier; nil before ``setup()``.
  public var scheduler: ParameterTierScheduler? { prepared?.plan.scheduler }

  /// What a user should be told before training, a line each.
  public var warnings: [String] { prepared?.plan.warnings ?? [] }

  /// The state of training after the last step: parameters, moments, update counts and windows; nil before ``setup()``.
  public var state: NestedTrainerState? { prepared?.computation.state }

  /// Trains to the last step, to an early stop, or until a callback says stop, and writes checkpoints on the way.
  ///
  /// - Throws: `RunFolderError.exists` if the output folder is there already; what a callback throws; `TrainerError` for a
  ///   gradient that is not finite.
  public func train(_ callbacks: TrainingCallbacks = TrainingCallbacks()) throws -> TrainingResult {
    try setup()
    guard let training = prepared else { throw ServiceError("the trainer is not set up") }
    guard training.computation.state.step == 0 else {
      throw ServiceError("this trainer has trained already", remedy: "make another one")
    }
    try training.plan.makeOutputFolder()
    var course = Course(training.plan.config)
    while true {
      switch course.next {
      case .train(let step):
        let done = try Self.train(step, training, course: &course)
        if try callbacks.onStep(done) == .stop { course.stop() }
      case .evaluate:
        let evaluation = try Self.evaluate(training, course: &course)
        if try callbacks.onEvaluation(evaluation) == .stop { course.stop() }
      case .saveBest:
        try Self.save(.best, training, course, callbacks)
        course.progress.savedBest()
      case .saveCheckpoint:
        try Self.save(.step(course.progress.step), training, course, callbacks)
        course.progress.savedCheckpoint()
      case .evaluateScale(let scale):
        let loss = try training.computation.evaluate(scale: scale)
        _ = course.progress.tried(scale: scale, loss: loss, training.plan.config)
        try callbacks.onScale(scale, loss)
      case .saveScaled:
        try Self.save(.scaled(course.progress.selectedScale), training, course, callbacks)
        course.progress.savedScaled()
      case .finish(let ending):
        guard let folder = try Self.save(.final, training, course, callbacks) else {
          throw ServiceError("the final checkpoint was not written")
        }
        return course.result(ending, training.computation.state, finalCheckpoint: folder)
      }
    }
  }

  private static func train(
    _ step: Int, _ training: Prepared, course: inout Course
  ) throws -> TrainingStep {
    let clock = ContinuousClock()
    let began = clock.now
    let (computed, outcome) = try training.computation.train(
      step, after: course.progress.followed, baseRate: course.progress.baseRate)
    try course.applied(outcome)
    return TrainingStep(
      step: step, losses: computed.losses, outcome: outcome, sampling: computed.sampling,
      updateCounts: training.computation.state.optimizer.updateCounts,
      seconds: (clock.now - began) / .seconds(1))
  }

  private static func evaluate(_ training: Prepared, course: inout Course) throws -> TrainingEvaluation {
    let (loss, accuracy) = try training.computation.evaluate()
    let isFollowed = training.plan.config.tasksSchedule == .worstFirst
    let worst = isFollowed ? try training.computation.worstTask() : nil
    course.progress.evaluated(loss: loss, accuracy: accuracy, worst: worst, training.plan.config)
    if let accuracy, let plan = training.computation.follow(accuracy) {
      course.progress.adopted(plan: plan.number)
    }
    return TrainingEvaluation(
      step: course.progress.step, loss: loss, isBest: course.progress.bestStep == course.progress.step,
      accuracy: accuracy?.share)
  }

  @discardableResult private static func save(
    _ kind: CheckpointKind, _ training: Prepared, _ course: Course, _ callbacks: TrainingCallbacks
  ) throws -> String? {
    let folder = try training.plan.writeCheckpoint(
      kind, of: training.computation.state, progress: course.progress)
    if let folder { try callbacks.onCheckpoint(folder) }
    return folder
  }
}

/// Where a training stands, and what comes next.
private struct Course {
  private let config: NestedLearningConfig
  var progress = RunProgress()
  private var isStopped = false
  private var hasChanged = false

  init(_ config: NestedLearningConfig) { self.config = config }

  enum Action {
    case train(step: Int)
    case evaluate
    case saveBest
    case saveCheckpoint
    case evaluateScale(Double)
    case saveScaled
    case finish(TrainingResult.Ending)
  }

  var next: Action {
    switch progress.next(config) {
    case .train where isStopped: .finish(.stopped)
    case .train(let step): .train(step: step)
    case .evaluate: .evaluate
    case .saveBest: .saveBest
    case .saveCheckpoint: .saveCheckpoint
    case .evaluateScale where isStopped, .saveScaled where isStopped: .finish(.stopped)
    case .evaluateScale(let scale): .evaluateScale(scale)
    case .saveScaled: .saveScaled
    case .finish(.completed): .finish(.completed)
    case .finish(.stoppedEarly): .finish(.stoppedEarly)
    }
  }

  mutating func stop() { isStopped = true }

  /// - Throws: `TrainingError` if the first update with a rate above 0 changed nothing: the run would train nothing.
  mutating func applied(_ outcome: StepOutcome) throws {
    progress.applied(step: outcome.step)
    hasChanged = hasChanged || outcome.changedParameters
    guard hasChanged || !outcome.isWithoutEffect else {
      throw TrainingError(
        "step \(outcome.step) was to update tiers \(outcome.activeTiers), and not one parameter changed",
        remedy:
          "every gradient is zero: check that the base model is a trained one and that the data have labels")
    }
  }

  func result(
    _ ending: TrainingResult.Ending, _ state: NestedTrainerState, finalCheckpoint: String
  ) -> TrainingResult {
    TrainingResult(
      ending: ending, steps: progress.step, best: progress.bestLoss.map { ($0, progress.bestStep) },
      finalCheckpoint: finalCheckpoint, stateDigest: StateDigest.of(state.snapshot().tensors))
  }
}
