import Coordination
import Files
import Foundation
import JSON
import Ledger
import Logging
import NestedLearning
import Service
import Training

/// A run's own folder, ledger, snapshots and checkpoints, driven by the code of the real coordinator, on a volume that
/// fails, is held by others, and loses its power.
final class SimulatedStore {
  enum End {
    case exited
    case killed
    case powerLost
  }

  let volume: SimulatedVolume
  var random: SplitMix64
  /// For what it was given later, so that older seeds remain what they were.
  var more: SplitMix64
  /// Steps of the snapshots on the record whose files are not what was written.
  var damaged = Set<Int>()
  /// Whether the disk was at fault when the state was read.
  var couldNotBeRead = false
  let log = RunLog()
  private let contents: ToyContents
  /// Nil while no coordinator has the run.
  private(set) var run: OpenRun?

  /// Whether the ledger could not be opened anew.
  private(set) var mayBeClosed = false

  /// What may be there, as it was tried and not acknowledged: the states that a write which is under way goes through.
  var underWay: [SimulatedDisk] = []
  /// Rows and identities that came along with such writes.
  var rowsUnderWay: [SimulatedDisk.Row.Key: SimulatedDisk.Row] = [:]
  var quarantinedUnderWay = Set<String>()
  /// By step: the parameters of the best checkpoints that were tried.
  var bestParameters: [Int: [UInt8]] = [:]

  private var outputPath: String { volume.folder + "/runs" }
  var path: String { outputPath + "/" + contents.config.experimentName }

  init(seed: UInt64, problem: ToyProblem) throws {
    let memory = "/dev/shm"
    let parent = FileSystem.kind(memory) == .folder ? memory : FileManager.default.temporaryDirectory.path
    let folder = "\(parent)/nl-simulation-\(UUID().uuidString)"
    try FileSystem.makeFolders(folder)
    contents = ToyContents(problem: problem)
    random = SplitMix64(seed: SplitMix64.mix(seed &+ 0x5704))
    more = SplitMix64(seed: SplitMix64.mix(seed &+ 0x2_07))
    volume = SimulatedVolume(folder: folder, seed: random.next())
    try SimulatedVFS.mount(volume)
  }

  deinit {
    try? run?.ledger.close()
    run = nil
    SimulatedVFS.unmount(volume)
    try? FileSystem.remove(volume.folder)
  }

  // MARK: - A coordinator's life

  /// Takes the run, as `nl-coord train --or-resume` does.
  ///
  /// - Returns: the new term.
  func begin() throws -> UInt64 {
    try volume.watching {
      var options = RunOptions()
      options.ledgerBusySeconds = 0
      let isThere = FileSystem.kind(path + "/state.sqlite") == .file
      let folder =
        isThere
        ? try RunFolder.open(path)
        : try RunFolder.create(
          outputPath: outputPath,
          run: RunRecord(
            experimentName: contents.config.experimentName, baseModelPath: contents.config.baseModelPath,
            configuration: contents.config.json(), program: "simulated"), busySeconds: 0)
      let run = try OpenRun(folder: folder, config: contents.config, options: options, logger: log.logger)
      self.run = run
      mayBeClosed = false
      return run.term
    }
  }

  /// The coordinator is gone.
  func end(_ end: End) throws {
    if end != .exited { volume.stop() }
    // A process that is killed closes nothing: whatever this tries fails.
    try? run?.ledger.close()
    run = nil
    try volume.start(losingPower: end == .powerLost)
  }

  func open() throws -> OpenRun {
    guard let run else { throw ServiceError("there is no run") }
    return run
  }

  // MARK: - Work

  func perform(_ write: RunWrite, engine: StepEngine?) throws -> RunWriteOutcome {
    let run = try open()
    return try volume.watching { try run.perform(write, plan: contents, engine: engine) }
  }

  func restored() throws -> (StepEngine, RestoredRun) {
    let run = try open()
    return try volume.watching { try run.restoredRun(plan: contents) }
  }

  /// - Throws: if that fails, which may leave the ledger closed: nothing can be written then.
  func reopen() throws {
    let run = try open()
    mayBeClosed = true
    try volume.watching { try run.ledger.reopen() }
    mayBeClosed = false
  }

  /// Another program writes into the ledger for as long as this is kept; nil if there is none.
  func hold() -> LedgerHolder? { LedgerHolder(path: path + "/state.sqlite") }

  // MARK: - What is there

  /// Reads everything.
  func view() throws -> StoreView { try StoreView(try open()) }

  /// The bytes of the best checkpoint, with the step that it says it is of; nil if there is none.
  func bestCheckpoint() throws -> (step: Int, bytes: [UInt8])? {
    let run = try open()
    guard let step = run.checkpoints.writtenStep("best") else { return nil }
    return (step, try AtomicFile.read("\(run.folder.checkpointsFolder)/best/\(ToyContents.file)"))
  }

  /// The steps that have a row in the metrics.
  func metrics() throws -> [Int] {
    let bytes = try AtomicFile.read(try open().folder.trainMetricsFile)
    return try bytes.split(separator: 0x0A).map { try JSONValue(parsing: $0)["step"]?.int ?? 0 }
  }
}

/// What the files of a run say, apart from what only concerns people.
struct StoreView {
  let steps: [String]
  let evaluations: [Int: Double]
  /// First steps of the tier plans that follow.
  let plans: [Int]
  /// Newest first.
  let snapshots: [Int]
  /// That the ledger has; 0 without one.
  let bestStep: Int
  let rows: [SimulatedDisk.Row.Key: SimulatedDisk.Row]
  let quarantined: Set<String>
  let shards: [Int: [ComputedShard]]
  let returns: Int

  init(_ run: OpenRun) throws {
    let ledger = run.ledger
    let last = try ledger.lastStep()
    steps = try (0..<last).map { try ledger.step($0 + 1)?.digest ?? "" }
    evaluations = Dictionary(
      try ledger.evaluations().map { ($0.step, $0.loss) }, uniquingKeysWith: { $1 })
    plans = try ledger.tierPlans().filter { $0.number > 1 }.map(\.firstStep)
    snapshots = try ledger.snapshots().map(\.step)
    bestStep = try ledger.checkpoints().first { $0.path == "checkpoints/best" }?.step ?? 0
    quarantined = Set(try ledger.quarantined().map(\.identity))
    returns = try ledger.returns().count
    let identities = Dictionary(
      try ledger.workers().map { (Worker(term: $0.term, id: $0.id), $0.identity) }, uniquingKeysWith: { $1 })
    var rows: [SimulatedDisk.Row.Key: SimulatedDisk.Row] = [:]
    for row in try (0...last + 1).flatMap({ try ledger.assignments(step: $0) })
    where row.outcome == "committed" {
      let key = SimulatedDisk.Row.Key(term: row.term, attempt: row.attempt)
      rows[key] = SimulatedDisk.Row(
        key: key, step: row.step, identity: identities[Worker(term: row.term, id: row.worker)] ?? "",
        isVerified: row.verified)
    }
    self.rows = rows
    shards = try run.shards(of: 1..<(last + 1))
  }

  private struct Worker: Hashable {
    let term: UInt64
    let id: Int
  }
}
