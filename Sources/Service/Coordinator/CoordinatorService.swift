import Coordination
import Foundation
import Ledger
import Logging
import NestedLearning
import Observability
import Training
import Transport
import WireProtocol

/// A coordinator at work: the driver of a run and of the fleet that computes it. It carries out what both cores want
/// done, through sockets, the ledger, the arithmetic and local worker processes, and tells them what came of it.
///
/// One thread, the caller's, owns the socket and both cores. Arithmetic and all disk work run on a queue beside it, one
/// after the other, and their outcome comes back as an event.
final class CoordinatorService {
  /// What other threads tell the one that owns the socket.
  enum DriverEvent: Sendable {
    case signal(Int32)
    case childEnded(LocalWorkers.Exit)
    case run(RunEvent)
    /// The state of the last snapshot, and an engine that holds it.
    case restored(StepEngine, RestoredRun)
    case allowList(AllowList.News)
    /// What was read for a worker.
    case forWorker(PeerID, SessionID, Message)
  }

  let plan: RunPlan
  let options: RunOptions
  /// Where the run is written down.
  let store: OpenRun
  let logger: Logger
  let telemetry: Telemetry
  /// Of the process; it tells this service while that is at work.
  let signals: SignalWatch
  let metrics: RunMetrics
  let router: Router
  let mailbox: Mailbox<DriverEvent>
  let localWorkers: LocalWorkers
  /// Where arithmetic on the state and all disk work run, one after the other.
  let queue = SerialThread(name: "steps")

  var run: RunCore
  var fleet: CoordinatorCore
  /// The state of training; nil until it has been restored. Belongs to `queue`, except while it is at rest.
  var engine: StepEngine?
  /// `runEvents`: what the run has not been told of yet. It is told of one thing at a time.
  var runEvents: [RunEvent] = []
  var isTellingRun = false
  /// When each core wants to be told of the time.
  var fleetTimer = Instant.never
  var runTimer = Instant.never
  /// Since when more messages wait than one turn takes; nil if none do. Until they are read nobody is judged.
  var behindSince: Instant?
  /// How the run ended; nil while it goes on.
  var ending: RunEnding?
  private(set) var stopRequested = false

  /// The connection of each local worker, and what each worker said in HELLO.
  var localPeers: [Int: PeerID] = [:]
  var members: [Int: Hello] = [:]
  /// Peers that could not be sent something, and results that were offered: what the fleet has not been told of yet.
  var unreachable: [(peer: PeerID, reason: String)] = []
  var offers: [(peer: PeerID, envelope: Envelope, result: ResultSummary, isRefused: Bool)] = []
  /// Results that the fleet said to keep, by attempt; without their bytes, if those go into sums at once.
  var payloads: [Int: ResultMessage] = [:]
  var connectionCheck: ConnectionCheck?
  var refusalLog = RefusalLog()
  /// Connections that have been told that they were refused, and those that ask for the status alone.
  var rejectedPeers = RecentPeers(limit: 1024)
  var statusClients = RecentPeers(limit: 256)
  var statusCache = StatusCache()
  /// The base model's files, once a worker asks for them.
  lazy var modelFiles = makeModelFileServer()
  lazy var modelBytes = ModelFiles.byteCount(of: plan.folder)

  var progressLine: ProgressLine
  /// When a wait was last named, and when somebody last looked whether one is to be.
  var lastSaid = MonotonicClock.now()
  var lastLooked = MonotonicClock.now()
  /// When the metrics are to show again how things stand.
  var nextShow = Instant.zero

  /// - Parameter endpoint: where local workers connect.
  init(
    plan: RunPlan, store: OpenRun, options: RunOptions, router: Router, waker: Waker, endpoint: String,
    logger: Logger, telemetry: Telemetry, signals: SignalWatch
  ) throws {
    self.plan = plan
    self.store = store
    self.options = options
    self.router = router
    self.logger = logger
    self.telemetry = telemetry
    self.signals = signals
    metrics = RunMetrics(
      telemetry.metrics, run: plan.config.experimentName, program: Program.version,
      numSteps: plan.config.numSteps)
    let mailbox = Mailbox<DriverEvent> { waker.wake() }
    self.mailbox = mailbox
    let now = MonotonicClock.now()
    run = RunCore(rules: plan.rules(options, folder: store.folder.path), now: now)
    var settings = try store.settings(plan: plan, options: options)
    options.failpoints.shorten(&settings)
    fleet = CoordinatorCore(settings: settings, now: now)
    localWorkers = try LocalWorkers(
      endpoint: endpoint, threads: options.threadsPerWorker, logFormat: options.operations.logFormat,
      logger: logger
    ) {
      mailbox.post(.childEnded($0))
    }
    progressLine = ProgressLine(
      totalSteps: plan.config.numSteps, columns: ProgressLine.terminalColumns(STDOUT_FILENO),
      now: now.seconds(since: .zero))
    router.resultJudge = { [weak self] peer, envelope, result in
      self?.judge(peer, envelope, result) ?? .refuse(.stale)
    }
  }

  /// Trains to the end, or until the user stops it, and records how it ended.
  ///
  /// - Throws: what the run cannot go on from.
  func execute() throws -> RunEnding {
    let mailbox = mailbox
    signals.call { mailbox.post(.signal($0)) }
    defer {
      signals.call(SignalWatch.end)
      localWorkers.stop()
      show(progressLine.finish())
    }
    try carryOut(run.begin(now: MonotonicClock.now()))
    try localWorkers.start(count: options.localWorkers)
    while ending == nil { try turn() }
    switch ending {
    case .failed(let error): throw error
    case .completed, .stoppedEarly: metrics.show(fleet.status, state: "completed")
    case .stopped, nil: break
    }
    return ending ?? .stopped
  }

  func show(_ text: String) {
    guard !text.isEmpty else { return }
    // A log that cannot be written, as on a full disk, is no reason to end a run.
    try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
  }

  /// Asked by a signal to end.
  func stop(_ number: Int32) throws {
    // A second Ctrl-C means now: everything on disk is whole at any moment.
    if stopRequested {
      throw ServiceError("stopped at once", remedy: "the run can be resumed from its last snapshot")
    }
    stopRequested = true
    guard number == SIGTERM else {
      logger.notice("stopping when this step is done; press Ctrl-C again to stop at once")
      return try tell(.stop(deadline: .never))
    }
    let grace = options.operations.graceSeconds
    logger.notice("asked to end: stopping when this step is done, within \(Int(grace)) s (--grace)")
    try tell(.stop(deadline: MonotonicClock.now() + grace))
  }
}
