import Coordination
import Foundation
import JSON
import LanguageModel
import Ledger
import NestedLearning
import Tensors
import WireProtocol

/// A run that this coordinator has taken: its folder locked, its ledger open in a new term.
final class OpenRun: @unchecked Sendable {
  let folder: RunFolder
  let ledger: Ledger
  let term: UInt64
  private(set) var trainMetrics: MetricsLog
  private(set) var evalMetrics: MetricsLog
  let snapshots: SnapshotStore
  let checkpoints: CheckpointWriter
  /// The blobs of all snapshots that the ledger has, and of the last one that this process wrote, with the number of
  /// updates of each tier then.
  private var recordedBlobs: [SnapshotBlob] = []
  private var last: (blobs: [SnapshotBlob], updateCounts: [Int])?

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
    (trainMetrics, evalMetrics) = try Self.metrics(folder, ledger)
    snapshots = SnapshotStore(folder: folder.stateFolder)
    checkpoints = CheckpointWriter(
      folder: folder.checkpointsFolder, keepLast: config.keepLastNCheckpoints,
      saveBestOnly: config.saveBestOnly)
    try keepReadableSnapshots()
    try checkpoints.deleteAll(but: try ledger.checkpoints().map { FileSystem.name(of: $0.path) })
  }

  /// Both files of metrics, as the ledger says that they should be.
  private static func metrics(_ folder: RunFolder, _ ledger: Ledger) throws -> (
    train: MetricsLog, evaluations: MetricsLog
  ) {
    let train = try MetricsLog(path: folder.trainMetricsFile, lastCommitted: ledger.lastStep()) {
      try ledger.stepMetrics(after: $0)
    }
    let lastEvaluation = try ledger.evaluations().last?.step ?? 0
    let evaluations = try MetricsLog(path: folder.evaluationMetricsFile, lastCommitted: lastEvaluation) {
      try ledger.evaluationMetrics(after: $0)
    }
    return (train, evaluations)
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
  ///
  /// - Parameter withDigest: the state's digest is in it, for whoever looks; that costs a pass over all of it.
  func writeSnapshot(engine: StepEngine, progress: RunProgress, withDigest: Bool) throws {
    let state = try engine.snapshot()
    let counts = engine.state.optimizer.updateCounts
    var writer = snapshots.begin(step: progress.step, recorded: recordedBlobs)
    let list = try SnapshotTensors.write(state.tensors, unchanged: unchangedBlobs(counts), to: &writer)
    var members: JSONObject = ["trainer": state.numbers, "progress": progress.json, "tensors": list]
    if withDigest { members["digest"] = .string(StateDigest.of(state.tensors)) }
    let record = try writer.finish(state: .object(members))
    try ledger.record(snapshot: record)
    last = (writer.blobs, counts)
    try pruneSnapshots()
  }

  /// An old snapshot that is damaged is no reason not to go on from the newest.
  private func keepReadableSnapshots() throws {
    let records = try ledger.snapshots()
    let readable = records.enumerated().filter { place, record in
      guard let blobs = try? snapshots.open(record.manifest).blobs else { return place == 0 }
      recordedBlobs += blobs
      return true
    }
    if readable.count < records.count {
      try ledger.pruneSnapshots(keeping: readable.map(\.element.step))
    }
  }

  /// Makes metrics, checkpoints and snapshots what the ledger says after a return.
  func followLedger() throws {
    (trainMetrics, evalMetrics) = try Self.metrics(folder, ledger)
    try checkpoints.deleteAll(but: try ledger.checkpoints().map { FileSystem.name(of: $0.path) })
    last = nil
    try pruneSnapshots()
  }

  /// Of the last snapshot, what holds a tier that was not updated since.
  private func unchangedBlobs(_ updateCounts: [Int]) -> [String: SnapshotBlob] {
    guard let last else { return [:] }
    let tiers = updateCounts.indices.filter { last.updateCounts[$0] == updateCounts[$0] }
    let names = Set(tiers.flatMap(SnapshotTensors.blobsOfUpdates))
    return Dictionary(
      last.blobs.filter { names.contains($0.name) }.map { ($0.name, $0) },
      uniquingKeysWith: { first, _ in first })
  }

  private func pruneSnapshots() throws {
    let kept = try ledger.pruneSnapshots(keeping: SnapshotRetention.kept(ledger.snapshots()).map(\.step))
    recordedBlobs = try kept.flatMap { try snapshots.open($0.manifest).blobs }
    try snapshots.prune(keeping: kept.map(\.manifest))
  }

  /// The last step that a snapshot holds; 0 if there is none.
  func lastSnapshotStep() throws -> Int { try ledger.latestSnapshot()?.step ?? 0 }

  /// Whether a checkpoint of this kind, of this step or a later one, is there: a replay comes past those that were
  /// written before the crash.
  func hasCheckpoint(_ kind: CheckpointWriter.Kind, from step: Int) throws -> Bool {
    try ledger.checkpoints().contains { record in
      let name = FileSystem.name(of: record.path)
      let isSameKind =
        switch kind {
        case .best, .final: name == kind.name
        case .step: CheckpointWriter.step(name) != nil
        }
      return isSameKind && record.step >= step && checkpoints.writtenStep(name) == record.step
    }
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

  /// Tells this run from all others, in every term: a digest of what was recorded when it began.
  private func identifier() throws -> String {
    let run = try ledger.status().run
    return Digest.sha256("\(run.experimentName)\n\(run.createdAt.text)\n\(run.configuration.text)")
  }

  /// What the coordinator's core is told.
  func settings(plan: RunPlan, options: RunOptions) throws -> CoordinatorSettings {
    var settings = CoordinatorSettings(
      term: term, tierParameterCounts: plan.scheduler.tiers.map(\.parameterCount),
      modelSHA256: plan.inputs.model,
      numericProfile: NumericProfile.name(of: plan.precision), sessionSeed: UInt64.random(in: 0...UInt64.max))
    settings.run = try identifier()
    settings.quarantined = Set(try ledger.quarantined().map(\.identity))
    settings.expectedLocalWorkers = options.localWorkers
    settings.shardByTier = options.shardBy == .tier
    settings.verifyFraction = plan.config.verifyFraction
    // Workers know the run's seed; what they are not to foresee is drawn anew, and changes no bit of the result.
    settings.verifySeed =
      options.failpoints.number(.verifySeed).map(UInt64.init) ?? UInt64.random(in: 0...UInt64.max)
    settings.probeSHA256 = try NumericProbe.sha256(
      seed: plan.config.seed, threads: ThreadPool(threads: 1), precision: plan.precision)
    return settings
  }
}
