import Coordination
import Digests
import Files
import Foundation
import JSON
import LanguageModel
import Ledger
import Logging
import NestedLearning
import Tensors
import Training
import WireProtocol

/// A run that this coordinator has taken: its folder locked, its ledger open in a new term.
package final class OpenRun: @unchecked Sendable {
  package let folder: RunFolder
  package let ledger: Ledger
  package let term: UInt64
  private(set) var trainMetrics: MetricsLog
  private(set) var evalMetrics: MetricsLog
  let snapshots: SnapshotStore
  package let checkpoints: CheckpointWriter
  private let logger: Logger
  /// Blobs of recorded snapshots that this process has read or written, so that they are known to be whole; and those of
  /// the last one that it wrote, with the number of updates of each tier then.
  private var soundBlobs: [SnapshotBlob] = []
  private var last: (blobs: [SnapshotBlob], updateCounts: [Int])?
  /// How many of the ledger's returns the run's core has been told of, or an earlier coordinator's.
  var returnsTold = 0
  /// How much memory the run's processes have, for the metrics; nil where nobody looks.
  var memory: @Sendable () -> JSONValue? = { nil }

  /// Makes the folder of a new run.
  static func create(plan: any TrainedRun, options: RunOptions, logger: Logger) throws -> OpenRun {
    let record = RunRecord(
      experimentName: plan.config.experimentName, baseModelPath: plan.modelPath,
      configuration: plan.recordedConfig,
      program: Program.version)
    return try OpenRun(
      folder: RunFolder.create(outputPath: plan.config.outputPath, run: record), config: plan.config,
      options: options, logger: logger)
  }

  package init(folder: RunFolder, config: NestedLearningConfig, options: RunOptions, logger: Logger) throws {
    self.folder = folder
    self.logger = logger
    ledger = try folder.openLedger(
      busySeconds: options.failpoints.number(.ledgerBusy) ?? options.ledgerBusySeconds)
    try ledger.checkWhatIsNeeded()
    term = try ledger.beginTerm()
    returnsTold = try ledger.returns().count { $0.reason != .byHand }
    (trainMetrics, evalMetrics) = try Self.metrics(folder, ledger, logger)
    snapshots = SnapshotStore(folder: folder.stateFolder)
    checkpoints = CheckpointWriter(
      folder: folder.checkpointsFolder, keepLast: config.keepLastNCheckpoints,
      saveBestOnly: config.saveBestOnly)
    try checkpoints.deleteAll(but: try ledger.checkpoints().map { FileSystem.name(of: $0.path) })
  }

  /// Both files of metrics, as the ledger says that they should be.
  private static func metrics(_ folder: RunFolder, _ ledger: Ledger, _ logger: Logger) throws -> (
    train: MetricsLog, evaluations: MetricsLog
  ) {
    for file in [folder.trainMetricsFile, folder.evaluationMetricsFile] {
      guard let reason = try MetricsLog.setAsideIfUnreadable(file) else { continue }
      logger.notice("\(reason); it was put aside, and is written anew from the ledger")
    }
    let train = try MetricsLog(path: folder.trainMetricsFile, lastCommitted: ledger.lastStep()) {
      try ledger.stepMetrics(after: $0)
    }
    let lastEvaluation = try ledger.lastEvaluatedStep()
    let evaluations = try MetricsLog(path: folder.evaluationMetricsFile, lastCommitted: lastEvaluation) {
      try ledger.evaluationMetrics(after: $0)
    }
    return (train, evaluations)
  }

  /// The state of the last snapshot that can be read, or the one before step 1. What came after it is computed again, to
  /// the same bits.
  func restore(plan: any RunContents) throws -> (StepEngine, RunProgress) {
    var damaged: [SnapshotRecord] = []
    for record in try ledger.snapshots() {
      do {
        let restored = try restore(record, plan: plan)
        try forget(damaged, goingOnFrom: record.step)
        return restored
      } catch let error as SnapshotError where error.isDamage {
        logger.notice("the snapshot of step \(record.step) is damaged: \(error)")
        damaged.append(record)
      }
    }
    try forget(damaged, goingOnFrom: 0)
    var state = try NestedTrainerState(
      config: plan.config, scheduler: plan.scheduler, parameters: plan.initialValues, shapes: plan.shapes)
    state.penalty = plan.penalty
    return (StepEngine(state: state, measurer: plan.measurer), RunProgress())
  }

  private func restore(_ record: SnapshotRecord, plan: any RunContents) throws -> (StepEngine, RunProgress) {
    let snapshot = try snapshots.open(record.manifest)
    let progress = try RunProgress(json: snapshot.state["progress"] ?? nil)
    let plans = PlanCourse(config: plan.config, scheduler: plan.scheduler)
    var state = try NestedTrainerState(
      config: plan.config, scheduler: plans.after(progress.followed.accuracies).plan.scheduler,
      shapes: plan.shapes, snapshot: snapshot.trainer())
    state.penalty = plan.penalty
    soundBlobs = snapshot.blobs
    return (StepEngine(state: state), progress)
  }

  /// Damaged snapshots leave the record; their files go with the next snapshot.
  private func forget(_ damaged: [SnapshotRecord], goingOnFrom step: Int) throws {
    guard let newest = damaged.first else { return }
    let names = damaged.map { String($0.step) }.joined(separator: ", ")
    let last = max(try ledger.lastStep(), newest.step)
    logger.notice(
      """
      without the snapshot of step \(names) the run goes on from \(step == 0 ? "the start" : "step \(step)"); steps up to \
      \(last) are computed again, to the same bits
      """)
    let gone = Set(damaged.map(\.step))
    try ledger.pruneSnapshots(keeping: try ledger.snapshots().map(\.step).filter { !gone.contains($0) })
  }

  /// Writes everything that the run needs to go on from here.
  ///
  /// - Parameter withDigest: the state's digest is in it, for whoever looks; that costs a pass over all of it.
  func writeSnapshot(engine: StepEngine, progress: RunProgress, withDigest: Bool) throws {
    let state = try engine.snapshot()
    let counts = engine.state.optimizer.updateCounts
    var writer = snapshots.begin(step: progress.step, recorded: soundBlobs)
    let list = try SnapshotTensors.write(state.tensors, unchanged: unchangedBlobs(counts), to: &writer)
    var members: JSONObject = ["trainer": state.numbers, "progress": progress.json, "tensors": list]
    if withDigest { members["digest"] = .string(StateDigest.of(state.tensors)) }
    let record = try writer.finish(state: .object(members))
    try ledger.record(snapshot: record)
    last = (writer.blobs, counts)
    soundBlobs += writer.blobs
    try pruneSnapshots()
    try ledger.rollUpAssignments()
  }

  /// Makes metrics, checkpoints and snapshots what the ledger says after a return.
  func followLedger() throws {
    (trainMetrics, evalMetrics) = try Self.metrics(folder, ledger, logger)
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

  /// Forgets and deletes the snapshots that are no longer kept, and those that are damaged: an old one is no reason to
  /// end the run.
  private func pruneSnapshots() throws {
    let kept = try SnapshotRetention.kept(ledger.snapshots(), checkpoints: numberedCheckpoints())
    var readable: [(record: SnapshotRecord, blobs: [SnapshotBlob])] = []
    for record in kept {
      do {
        if let blobs = try blobs(of: record) { readable.append((record, blobs)) }
      } catch let error as SnapshotError where error.isDamage {
        // A disk that fails now may give it back later: until all of them can be read, nothing is deleted.
        logger.notice("the snapshot of step \(record.step) cannot be read, so none is deleted: \(error)")
        return
      }
    }
    try ledger.pruneSnapshots(keeping: readable.map(\.record.step))
    let referenced = Set(readable.flatMap(\.blobs).map(\.sha256))
    soundBlobs = soundBlobs.filter { referenced.contains($0.sha256) }
    try snapshots.prune(keeping: readable.map(\.record.manifest))
  }

  /// Nil if the snapshot's manifest is damaged.
  ///
  /// - Throws: if it cannot be read from the disk.
  private func blobs(of record: SnapshotRecord) throws -> [SnapshotBlob]? {
    do { return try snapshots.open(record.manifest).blobs } catch {
      guard error.isDamage, !error.isDiskFault else { throw error }
      logger.notice("the snapshot of step \(record.step) is damaged, and no longer kept: \(error)")
      return nil
    }
  }

  /// The steps of the numbered checkpoints that are kept.
  private func numberedCheckpoints() throws -> [Int] {
    try ledger.checkpoints().filter { CheckpointWriter.step(FileSystem.name(of: $0.path)) != nil }.map(\.step)
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
        case .best, .final, .scaled: name == kind.name
        case .step: CheckpointWriter.step(name) != nil
        }
      guard isSameKind, record.step >= step, let written = checkpoints.writtenStep(name) else { return false }
      if written == record.step { return true }
      // A best one that could not be recorded any more is better than what a replay has to put in its place. Without its
      // evaluation it is of steps that are void.
      return written > record.step ? try ledger.evaluation(after: written) != nil : false
    }
  }

  /// Writes a checkpoint folder, and forgets those that are no longer kept.
  func writeCheckpoint(
    _ kind: CheckpointWriter.Kind, plan: any RunContents, progress: RunProgress, engine: StepEngine
  ) throws {
    let metadata = CheckpointMetadata(kind, of: engine.state, plan: plan, progress: progress)
    let path = try checkpoints.write(kind, metadata: metadata) { folder in
      try plan.write(parameters: engine.state.published, scale: kind.scale, to: folder)
    }
    guard path != nil else { return }
    try ledger.record(
      checkpoint: CheckpointRecord(
        path: "checkpoints/\(kind.name)", step: progress.step, isBest: metadata.isBest,
        isFinal: kind == .final, bestValidationLoss: progress.bestLoss))
    for name in try checkpoints.prune() { try ledger.forget(checkpoint: "checkpoints/\(name)") }
  }

  /// Tells this run from all others, in every term: a digest of what was recorded when it began.
  private func identifier() throws -> String {
    let run = try ledger.status().run
    return Digest.sha256("\(run.experimentName)\n\(run.createdAt.text)\n\(run.configuration.text)")
  }

  /// What the coordinator's core is told.
  func settings(plan: any TrainedRun, options: RunOptions) throws -> SchedulerSettings {
    var settings = SchedulerSettings(
      term: term, run: try identifier(), tierParameterCounts: plan.scheduler.tiers.map(\.parameterCount),
      modelSHA256: plan.modelSHA256, numericProfile: plan.numericProfile)
    settings.quarantined = Set(try ledger.quarantined().map(\.identity))
    settings.expectedLocalWorkers = options.localWorkers / max(1, options.parallelRuns)
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

extension CheckpointMetadata {
  /// That of a checkpoint of a state, now.
  init(_ kind: CheckpointKind, of state: NestedTrainerState, plan: any RunContents, progress: RunProgress) {
    self.init(
      step: progress.step, experimentName: plan.config.experimentName,
      isBest: progress.bestStep == progress.step && progress.bestLoss != nil, isFinal: kind == .final,
      bestValidationLoss: progress.bestLoss, configuration: plan.config.json(),
      tierStatistics: state.scheduler.statistics(
        globalStep: progress.step, updateCounts: state.optimizer.updateCounts),
      timestamp: Timestamp.now().text)
    if case .scaled(let scale) = kind {
      selectedScale = [
        "scale": .number(scale), "tolerance": .number(plan.config.scaleTolerance),
        "curve": progress.scaleCurve,
      ]
    }
    warnings = state.scheduler.movementWarnings(numSteps: plan.config.numSteps)
  }
}
