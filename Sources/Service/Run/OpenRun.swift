import Coordination
import Foundation
import JSON
import LanguageModel
import Ledger
import NestedLearning
import Protocol

/// A run that this coordinator has taken: its folder locked, its ledger open in a new term.
final class OpenRun: @unchecked Sendable {
  let folder: RunFolder
  let ledger: Ledger
  let term: UInt64
  let trainMetrics: MetricsLog
  let evalMetrics: MetricsLog
  private let snapshots: SnapshotStore
  private let checkpoints: CheckpointWriter

  /// Makes the folder of a new run.
  static func create(plan: RunPlan) throws -> OpenRun {
    let record = RunRecord(
      experimentName: plan.config.experimentName, baseModelPath: plan.folder.path,
      configuration: plan.recordedConfig,
      program: Program.version)
    return try OpenRun(
      folder: RunFolder.create(outputPath: plan.config.outputPath, run: record), config: plan.config)
  }

  init(folder: RunFolder, config: NestedLearningConfig) throws {
    self.folder = folder
    ledger = try folder.openLedger()
    term = try ledger.beginTerm()
    let ledger = ledger
    trainMetrics = try MetricsLog(path: folder.trainMetricsFile, lastCommitted: ledger.lastStep()) {
      try ledger.stepMetrics(after: $0)
    }
    let lastEvaluation = try ledger.evaluations().last?.step ?? 0
    evalMetrics = try MetricsLog(path: folder.evaluationMetricsFile, lastCommitted: lastEvaluation) {
      try ledger.evaluationMetrics(after: $0)
    }
    snapshots = SnapshotStore(folder: folder.stateFolder)
    checkpoints = CheckpointWriter(
      folder: folder.checkpointsFolder, keepLast: config.keepLastNCheckpoints,
      saveBestOnly: config.saveBestOnly)
  }

  /// The state of the last snapshot, or the one before step 1.
  func restore(plan: RunPlan) throws -> (StepEngine, RunProgress) {
    guard let record = try ledger.latestSnapshot() else {
      let state = try NestedTrainerState(
        config: plan.config, scheduler: plan.scheduler, parameters: plan.initialValues, shapes: plan.shapes)
      return (StepEngine(state: state), RunProgress())
    }
    let snapshot = try snapshots.open(record.manifest)
    let tensors = try SnapshotTensors.read(snapshot)
    let state = try NestedTrainerState(
      config: plan.config, scheduler: plan.scheduler, shapes: plan.shapes,
      snapshot: TrainerSnapshot(tensors: tensors, numbers: snapshot.state["trainer"] ?? nil))
    return (StepEngine(state: state), try RunProgress(json: snapshot.state["progress"] ?? nil))
  }

  /// Writes everything that the run needs to go on from here.
  func writeSnapshot(engine: StepEngine, progress: RunProgress) throws {
    let state = engine.state.snapshot()
    var writer = snapshots.begin(step: progress.step)
    let list = try SnapshotTensors.write(state.tensors, to: &writer)
    let record = try writer.finish(state: [
      "trainer": state.numbers, "progress": progress.json, "digest": .string(StateDigest.of(state.tensors)),
      "tensors": list,
    ])
    try ledger.record(snapshot: record)
    try snapshots.prune(keeping: ledger.pruneSnapshots(keeping: 2).map(\.manifest))
  }

  /// Writes a checkpoint folder, and forgets those that are no longer kept.
  func writeCheckpoint(
    _ kind: CheckpointWriter.Kind, plan: RunPlan, progress: RunProgress, engine: StepEngine
  ) throws {
    let isBest = progress.bestStep == progress.step && progress.bestLoss != nil
    let statistics = plan.scheduler.statistics(
      globalStep: progress.step, updateCounts: engine.state.optimizer.updateCounts)
    let metadata = CheckpointMetadata(
      step: progress.step, experimentName: plan.config.experimentName, isBest: isBest,
      isFinal: kind == .final,
      bestValidationLoss: progress.bestLoss, configuration: plan.config.json(), tierStatistics: statistics,
      timestamp: Timestamp.now().text)
    let path = try checkpoints.write(kind, metadata: metadata) { folder in
      try plan.write(parameters: engine.state.parameters, to: folder)
    }
    guard path != nil else { return }
    try ledger.record(
      checkpoint: CheckpointRecord(
        path: "checkpoints/\(kind.name)", step: progress.step, isBest: isBest, isFinal: kind == .final,
        bestValidationLoss: progress.bestLoss))
    for name in try checkpoints.prune() { try ledger.forget(checkpoint: "checkpoints/\(name)") }
  }

  /// What the coordinator's core is told.
  func settings(plan: RunPlan, options: RunOptions) throws -> CoordinatorSettings {
    var settings = CoordinatorSettings(
      term: term, tierParameterCounts: plan.scheduler.tiers.map(\.parameterCount),
      modelSHA256: plan.inputs.model,
      numericProfile: NumericProfile.current, sessionSeed: UInt64.random(in: 0...UInt64.max))
    settings.expectedLocalWorkers = options.localWorkers
    settings.shardByTier = options.shardBy == .tier
    return settings
  }
}
