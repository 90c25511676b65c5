import Coordination
import Files
import Foundation
import Logging
import Observability
import Training
import Transport
import WireProtocol

/// A coordinator at work: the driver of the fleet, and of the runs that it works on. It carries out what the fleet's core
/// wants done, through sockets and local worker processes, and hands each run what is its own.
///
/// One thread, the caller's, owns the socket and all cores. Arithmetic and disk work run on threads beside it, one for
/// each run, and their outcome comes back as an event.
final class FleetService {
  /// What other threads tell the one that owns the socket.
  enum DriverEvent: Sendable {
    case signal(Int32)
    case childEnded(LocalWorkers.Exit)
    case run(RunNumber, RunEvent)
    /// What came of an attempt of a run is added up.
    case added(RunNumber, attempt: Int)
    /// The state of the last snapshot, and an engine that holds it.
    case restored(RunNumber, StepEngine, RestoredRun)
    /// A run that waited is ready to begin, or cannot.
    case prepared(RunNumber, Result<PreparedRun, any Error>)
    case allowList(AllowList.News)
    /// What was read for a worker.
    case forWorker(RunNumber, PeerID, SessionID, Message)
    /// Something that another thread wants done, or known.
    case request(@Sendable (FleetService) throws -> Void)
  }

  /// What a core has not been told of yet. It is told of one thing at a time, after all that followed from the last.
  enum Told {
    /// A result that came with its bytes, if there is one.
    case fleet(FleetEvent, incoming: ResultMessage?)
    case run(RunNumber, RunEvent)
  }

  let options: RunOptions
  let logger: Logger
  let telemetry: Telemetry
  /// Of the process; it tells this service while that is at work.
  let signals: SignalWatch
  let router: Router
  let mailbox: Mailbox<DriverEvent>
  let localWorkers: LocalWorkers
  /// Where local workers connect, and where the status is asked for.
  let endpoint: String
  /// What those know who may read the folders of the runs.
  let token = (0..<2).map { _ in String(UInt64.random(in: 0...UInt64.max), radix: 16) }.joined()

  var fleet: FleetCore
  /// Runs that have begun and are not over, what is known of all others, and whose turn it is.
  var drivers: [RunNumber: RunDriver] = [:]
  var queued: [RunNumber: QueuedRun]
  var queue: RunQueue
  /// Runs that are to end as soon as they are ready, and those that are to rest as soon as they have begun.
  var cancelled = Set<RunNumber>()
  var pausesAtBegin = Set<RunNumber>()
  private var measurementCount: UInt32 = 0
  /// Is told of each run that is over, and of how runs and workers stand now and then.
  var board: (any FleetBoard)?
  /// When the board is to be told again.
  var nextBoard = Instant.zero
  /// How each run ended, in the order of ending; of a fleet that takes runs on and on, the last ones.
  private(set) var ends: [RunEnd] = []
  private static let mostEndsKept = 100
  var told: [Told] = []
  var isTelling = false
  /// When the fleet wants to be told of the time.
  var fleetTimer = Instant.never
  /// Until they are read nobody is judged.
  var unreadMessages = UnreadMessages()
  /// All workers have been sent away, or nobody wants them to be.
  var isClosed = false
  /// Whether the user, or the system, wants this program to end.
  var stopRequested: Bool { queue.isStopped }

  /// The connection of each local worker.
  var localPeers: [Int: PeerID] = [:]
  /// Peers that could not be sent something, and results that were offered: what the fleet has not been told of yet.
  var unreachable: [(peer: PeerID, reason: String)] = []
  var offers: [(peer: PeerID, envelope: Envelope, result: ResultSummary, isRefused: Bool)] = []
  var connectionChecks = ConnectionChecks()
  /// When it is next asked whose long messages move.
  var nextMovements = Instant.zero
  var movements = Movements()
  var refusalLog = RefusalLog()
  /// Connections that have been told that they were refused, and those that ask for the status alone.
  var rejectedPeers = RecentPeers(limit: 1024)
  var statusClients = RecentPeers(limit: 256)
  var statusCache = StatusCache()
  /// When the metrics are to show again how things stand.
  var nextShow = Instant.zero

  /// - Parameters:
  ///   - runs: in the order in which they are to begin
  ///   - endpoint: where local workers connect
  init(
    runs: [QueuedRun], options: RunOptions, router: Router, waker: Waker, endpoint: String, logger: Logger,
    telemetry: Telemetry, signals: SignalWatch
  ) throws {
    self.options = options
    self.router = router
    self.logger = logger
    self.telemetry = telemetry
    self.signals = signals
    self.endpoint = endpoint
    let mailbox = Mailbox<DriverEvent> { waker.wake() }
    self.mailbox = mailbox
    let numbers = runs.indices.map { RunNumber(UInt32($0 + 1)) }
    queued = Dictionary(uniqueKeysWithValues: zip(numbers, runs))
    queue = RunQueue(numbers, parallel: options.parallelRuns)
    var settings = FleetSettings(sessionSeed: UInt64.random(in: 0...UInt64.max))
    options.failpoints.shorten(&settings)
    fleet = FleetCore(settings: settings, now: MonotonicClock.now())
    localWorkers = try LocalWorkers(
      endpoint: endpoint, threads: options.threadsPerWorker, logFormat: options.operations.logFormat,
      isPatient: options.takesRuns, logger: logger
    ) {
      mailbox.post(.childEnded($0))
    }
    router.resultJudge = { [weak self] peer, envelope, result in
      self?.judge(peer, envelope, result) ?? .refuse(.stale)
    }
  }

  /// Trains all runs to their ends, or until the user stops them, and records how each ended.
  ///
  /// - Throws: what no run can go on from.
  func execute() throws -> [RunEnd] {
    let mailbox = mailbox
    signals.call { mailbox.post(.signal($0)) }
    defer {
      let isDone = isClosed && !stopRequested && !ends.contains(where: \.hasFailed)
      if isDone { signals.endAtSecond() } else { signals.endAtOnce() }
      localWorkers.stop()
    }
    do {
      try beginNext()
      try localWorkers.start(count: options.localWorkers)
      while !isClosed { try turn() }
    } catch {
      for driver in drivers.values { driver.giveUp(error) }
      throw error
    }
    return ends
  }

  func show(_ text: String) {
    guard !text.isEmpty else { return }
    // A log that cannot be written, as on a full disk, is no reason to end a run.
    try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
  }

  /// Writes lines at once, so that they keep their place among the lines of progress; for programs, as the log.
  func say(_ text: String) {
    guard options.operations.logFormat == .text else {
      for line in text.split(separator: "\n") { logger.notice("\(line)") }
      return
    }
    show(text + "\n")
  }

  // MARK: - Runs

  /// Runs that wait for their turn, or are being made ready.
  var namesOfWaiting: [String] { queue.notBegun.compactMap { queued[$0]?.name } }

  /// Begins as many of the runs that wait as may be at work together.
  func beginNext() throws {
    while let number = queue.next(), let run = queued[number] {
      board?.begins(number)
      if let prepared = run.prepared {
        try begin(number, prepared)
      } else {
        DispatchQueue.global().async { [mailbox] in
          mailbox.post(.prepared(number, Result { try run.prepare() }))
        }
      }
    }
    let takesMore = options.takesRuns && !stopRequested
    try handle(.expectsRuns(takesMore || !queue.notBegun.isEmpty))
    if queue.isOver, !isClosed, !takesMore { try closeFleet() }
  }

  func begin(_ number: RunNumber, _ prepared: PreparedRun) throws {
    queued[number]?.prepared = nil
    if let next = prepared.measuredFor { return try beginMeasurement(for: number, next, prepared) }
    guard queue.begins(number) else {
      // It was made ready while the program was asked to end; its folder is there, and it goes on from the start.
      logger.notice("\(prepared.store.folder.path) is not begun")
      prepared.close()
      return try beginNext()
    }
    guard cancelled.remove(number) == nil else {
      try? prepared.store.ledger.finish(RunEnding.stopped.outcome)
      prepared.close()
      return try end(number, folder: prepared.store.folder.path, .success(.stopped), sendsAway: true)
    }
    do {
      let driver = try RunDriver(number, prepared, service: self)
      drivers[number] = driver
      try handle(.begin(number, driver.settings))
      try driver.begin()
      if pausesAtBegin.remove(number) != nil { try tell(number, .pause) }
    } catch {
      try? prepared.store.ledger.finish(.failed(reason: "\(error)"))
      prepared.close()
      try end(number, folder: prepared.store.folder.path, .failure(error), sendsAway: true)
    }
  }

  /// What is measured for a run takes its place until that is done, under a number of its own, from the greatest down.
  private func beginMeasurement(
    for number: RunNumber, _ next: PreparedRun.Following, _ prepared: PreparedRun
  ) throws {
    measurementCount += 1
    let own = RunNumber(UInt32.max - measurementCount)
    queued[number] = QueuedRun(name: next.name, prepare: next.prepare)
    queued[own] = QueuedRun(name: prepared.store.folder.path) { prepared }
    queue.hold(number, until: own)
    if cancelled.remove(number) != nil { cancelled.insert(own) }
    try begin(own, PreparedRun(plan: prepared.plan, store: prepared.store))
  }

  /// A run that waited could not be made ready; the others go on.
  func cannotBegin(_ number: RunNumber, _ error: any Error) throws {
    let name = queued[number]?.name ?? "\(number)"
    if !(error is FinishedRun) { logger.error("\(name) was not begun: \(error)") }
    try end(number, folder: name, .failure(error), sendsAway: true)
  }

  /// A run rests, and leaves its place to the next that waits; or it goes on, whoever is at work by then.
  func rest(_ number: RunNumber, _ rests: Bool) throws {
    queue.rest(number, rests)
    try handle(.rest(number, rests))
    if rests { try beginNext() }
  }

  /// A run is over; the next one begins.
  ///
  /// - Parameter sendsAway: whether its workers are to be sent away if nothing is left for them
  func end(_ number: RunNumber, folder: String, _ result: Result<RunEnding, any Error>, sendsAway: Bool)
    throws
  {
    drivers[number] = nil
    let isMeasured = endsMeasurement(number, folder: folder, result)
    queued[number] = nil
    queue.ended(number, sendsAway: sendsAway)
    if isMeasured != true {
      ends.append(RunEnd(folder: folder, result: result, isMeasurement: isMeasured != nil))
      if options.takesRuns, ends.count > Self.mostEndsKept { ends.removeFirst() }
      board?.ended(number, result)
    }
    try handle(.requested(number, .close))
    try beginNext()
  }

  /// - Returns: nil unless the run was one that measures for another; whether it has done so, so that that one is the next.
  private func endsMeasurement(
    _ number: RunNumber, folder: String, _ result: Result<RunEnding, any Error>
  ) -> Bool? {
    guard let next = queue.held(until: number) else { return nil }
    if case .success(.completed) = result {
      // What it was for is in the store of what was measured.
      try? FileSystem.remove(folder)
      return true
    }
    queue.drop(next)
    queued[next] = nil
    board?.ended(next, result)
    return false
  }

  /// No run is left.
  private func closeFleet() throws {
    guard queue.sendsAway else {
      isClosed = true
      return
    }
    localWorkers.expectEnds()
    try handle(.close)
  }

  /// Asked by a signal to end.
  func stop(_ number: Int32) throws {
    // A second Ctrl-C means now: everything on disk is whole at any moment.
    if stopRequested {
      throw ServiceError("stopped at once", remedy: "the run can be resumed from its last snapshot")
    }
    for waiting in queue.stop() { logger.notice("\(queued[waiting]?.name ?? "\(waiting)") is not begun") }
    var deadline = Instant.never
    if number == SIGTERM {
      let grace = options.operations.graceSeconds
      logger.notice("asked to end: stopping when this step is done, within \(Int(grace)) s (--grace)")
      deadline = MonotonicClock.now() + grace
    } else {
      logger.notice("stopping when this step is done; press Ctrl-C again to stop at once")
    }
    for run in drivers.keys.sorted() { try tell(run, .stop(deadline: deadline)) }
    try beginNext()
  }
}

/// How a run ended.
struct RunEnd {
  let folder: String
  let result: Result<RunEnding, any Error>
  /// Whether the run was to measure something for another, which has not begun.
  var isMeasurement = false
}
