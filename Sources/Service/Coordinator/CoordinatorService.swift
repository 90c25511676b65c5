import Coordination
import Dataset
import Dispatch
import Foundation
import JSON
import LanguageModel
import Ledger
import Logging
import NestedLearning
import Observability
import Transport
import WireProtocol

/// A coordinator at work: it ties the pure core to the socket, the ledger, the arithmetic and the local workers.
///
/// One thread, the caller's, owns the socket and the core. It reads like the run itself: a step is opened, waited for,
/// applied, committed. While it waits it goes on answering workers; arithmetic and disk work run on a queue beside it.
final class CoordinatorService {
  /// What other threads tell the one that owns the socket.
  enum DriverEvent: Sendable {
    case signal(Int32)
    case childEnded(LocalWorkers.Exit)
    case workDone
    case allowList(AllowList.News)
    /// What was read for a worker.
    case forWorker(PeerID, SessionID, Message)
  }

  enum Ending: Equatable {
    case completed
    case stoppedEarly
    /// By the user; the run can be resumed.
    case stopped
  }

  let plan: RunPlan
  let options: RunOptions
  let run: OpenRun
  private(set) var engine: StepEngine
  let logger: Logger
  let telemetry: Telemetry
  /// Of the process; it tells this service while that is at work.
  let signals: SignalWatch
  let metrics: RunMetrics
  /// When the metrics are to show again how things stand.
  var nextShow = Instant.zero

  var core: CoordinatorCore
  var timer = Instant.never
  let router: Router
  let mailbox: Mailbox<DriverEvent>
  let localWorkers: LocalWorkers
  /// The connection of each local worker, what peers said in HELLO, the same by worker, when a wait was last named,
  /// and who could not be sent something.
  var localPeers: [Int: PeerID] = [:]
  var greetings: [PeerID: Hello] = [:]
  var members: [Int: Hello] = [:]
  var lastSaid = MonotonicClock.now()
  var lastLooked = MonotonicClock.now()
  var unreachable: [(peer: PeerID, reason: String)] = []
  var connectionCheck: ConnectionCheck?
  var refusalLog = RefusalLog()
  /// Connections that have been told that they were refused, and those that ask for the status alone.
  var rejectedPeers = RecentPeers(limit: 1024)
  var statusClients = RecentPeers(limit: 256)
  var statusCache = StatusCache()
  /// Results whose bytes were not wanted, since the core was last told.
  var refusedOffers: [(peer: PeerID, envelope: Envelope, result: ResultSummary)] = []
  /// The base model's files, once a worker asks for them.
  lazy var shelf = makeShelf()
  lazy var modelBytes = ModelFiles.byteCount(of: plan.folder)

  /// What the step or evaluation is computed on, and, by step, what is computed again meanwhile.
  var unitData = UnitData()
  var earlierData: [Int: UnitData] = [:]
  /// Every tier's newest parameters.
  var tiers: [TierValues] = []
  /// Those of earlier steps, for what windows may have lost.
  var archive = ParameterHistory()
  /// Since the last step.
  var traffic: Traffic
  /// The message that the core is being told of, and those that it said to keep, by attempt.
  var incoming: ResultMessage?
  var payloads: [Int: ResultMessage] = [:]
  /// For the ledger, with the next commit.
  var records: [Coordination.AssignmentRecord] = []
  var notes: [WorkerNote] = []
  /// Attempts whose chains others have computed again, to the same bits.
  var audited = Set<Int>()
  /// When they are recorded without a commit.
  var notesDue: Instant?
  var unitInHand: WorkUnit?
  var completed: CompletedUnit?
  var stopRequested = false
  /// When a stop that was asked for has to be over.
  var stopDeadline = Instant.never
  var drained = false
  /// What the run waits for the disk for, if it does.
  var diskPause: DiskPause?
  /// What the coordinator itself is at, for the status.
  var activity: (doing: String, since: Instant)?
  /// Identities in quarantine whose unverified results are to be undone before anything else.
  var toUndo: [String] = []
  /// A unit was not used after the core had noted what it brought: the windows are no longer what the core takes them
  /// for, so they come from the last snapshot again.
  var windowsAreVoid = false
  /// A step was given up that workers may have added to their sums already.
  var windowsAreAhead = false

  var progress: RunProgress
  var progressLine: ProgressLine
  var sampler: StepSampler
  var snapshots: SnapshotSchedule
  /// What of the seconds spent on them is in the metrics.
  var snapshotSecondsTold = 0.0
  /// The last step that was committed before this coordinator took the run, or went back.
  var replayedUpTo: Int
  /// Where arithmetic on the state and all disk work run, one after the other.
  let queue = DispatchQueue(label: "steps")

  /// - Parameter endpoint: where local workers connect.
  init(
    plan: RunPlan, run: OpenRun, options: RunOptions, router: Router, waker: Waker, endpoint: String,
    logger: Logger, telemetry: Telemetry, signals: SignalWatch
  ) throws {
    self.plan = plan
    self.run = run
    self.options = options
    self.router = router
    self.logger = logger
    self.telemetry = telemetry
    self.signals = signals
    metrics = RunMetrics(
      telemetry.metrics, run: plan.config.experimentName, program: Program.version,
      numSteps: plan.config.numSteps)
    sampler = plan.sampler
    traffic = Traffic(tierCount: plan.scheduler.tiers.count)
    let mailbox = Mailbox<DriverEvent> { waker.wake() }
    self.mailbox = mailbox
    (engine, progress) = try run.restore(plan: plan)
    replayedUpTo = try run.ledger.lastStep()
    metrics.stands(at: max(progress.step, replayedUpTo))
    toUndo = try run.identitiesToUndo()
    var settings = try run.settings(plan: plan, options: options)
    options.failpoints.shorten(&settings)
    core = CoordinatorCore(settings: settings, now: MonotonicClock.now())
    localWorkers = try LocalWorkers(
      endpoint: endpoint, threads: options.threadsPerWorker, logFormat: options.operations.logFormat,
      logger: logger
    ) {
      mailbox.post(.childEnded($0))
    }
    let now = Self.seconds()
    progressLine = ProgressLine(
      totalSteps: plan.config.numSteps, columns: ProgressLine.terminalColumns(STDOUT_FILENO), now: now)
    snapshots = SnapshotSchedule(step: progress.step, bytes: plan.stateBytes, now: now)
    router.resultJudge = { [weak self] peer, envelope, result in self?.judge(peer, envelope, result) }
  }

  /// Seconds on the monotonic clock.
  static func seconds() -> Double { MonotonicClock.now().seconds(since: .zero) }

  func show(_ text: String) {
    guard !text.isEmpty else { return }
    // A log that cannot be written, as on a full disk, is no reason to end a run.
    try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
  }

  /// Takes the state that the ledger's last snapshot holds, or the one before step 1.
  func restore() throws {
    let (run, plan) = (run, plan)
    (engine, progress) = try awaiting { try run.restore(plan: plan) }
    replayedUpTo = try run.ledger.lastStep()
    metrics.stands(at: max(progress.step, replayedUpTo))
  }
}

// MARK: - The run

extension CoordinatorService {
  /// Trains to the end, or until the user stops it, and records how it ended.
  func execute() throws -> Ending {
    let mailbox = mailbox
    signals.call { mailbox.post(.signal($0)) }
    defer {
      signals.call(SignalWatch.end)
      localWorkers.stop()
    }
    try begin()
    defer { show(progressLine.finish()) }
    while !stopRequested {
      if !toUndo.isEmpty {
        try rollBack()
        continue
      }
      switch progress.next(plan.config) {
      case .train(let step): try train(step)
      case .evaluate: try evaluate()
      case .saveBest: try saveBest()
      case .saveCheckpoint: try saveCheckpoint()
      case .finish(let ending):
        if let end = try finish(ending == .completed ? .completed : .stoppedEarly) { return end }
      }
    }
    return try stop()
  }

  private func begin() throws {
    try publishTiers()
    try localWorkers.start(count: options.localWorkers)
  }

  /// Tells the ledger and the core of all tiers as they are now.
  func publishTiers() throws {
    tiers = try awaiting { [engine] in engine.tierValues() }
    let records = tiers.map { plan.record(of: $0) }
    try durably("recording the tiers") { [ledger = run.ledger] _ in try ledger.record(tiers: records) }
    try handle(.parametersChanged(versions(of: tiers)))
    try publishWindows()
  }

  func versions(of tiers: [TierValues]) -> [Int: TierVersion] {
    Dictionary(
      uniqueKeysWithValues: tiers.map { ($0.tier, TierVersion(version: $0.version, digest: $0.digest)) })
  }

  private func saveBest() throws {
    try checkpoint(.best)
    progress.savedBest()
  }

  private func saveCheckpoint() throws {
    try checkpoint(.step(progress.step))
    progress.savedCheckpoint()
  }

  /// Nil if the last chains that were fetched have shown a worker to be wrong, so that the run has to go back first.
  private func finish(_ ending: Ending) throws -> Ending? {
    _ = try completeWindows()
    guard toUndo.isEmpty else { return nil }
    try checkpoint(.final)
    try snapshot(withDigest: true)
    try close(ending)
    try sendWorkersAway()
    recordDepartures()
    metrics.show(core.status, state: "completed")
    return ending
  }

  /// After Ctrl-C: the step in hand has been committed, and everything needed to go on is written.
  private func stop() throws -> Ending {
    if progress.step > 0 {
      try checkpoint(.step(progress.step))
      progress.savedCheckpoint()
      if windowsAreVoid {
        logger.notice("a worker's sums were found to be wrong, so the run will go on from its last snapshot")
      } else if windowsAreAhead {
        logger.notice(
          "workers' sums are ahead of the last step, so the run will go on from its last snapshot")
      } else if hasAllWindows || core.hasUsableWorkers {
        try snapshot(withDigest: true)
      } else {
        logger.notice(
          "no worker is there to hand over its sums, so the run will go on from its last snapshot")
      }
    }
    try close(.stopped)
    // With an evaluation cut short, workers of other machines are left to join again when the run goes on.
    if core.status.unit == nil && !options.isStartedAgain { try sendWorkersAway() }
    recordDepartures()
    return .stopped
  }
}
