import Coordination
import Foundation
import Ledger
import Logging
import NestedLearning
import Training
import Transport
import WireProtocol

/// The driver of one run: carries out what its core wants done, through the ledger, the arithmetic and the fleet, and
/// tells it what came of it. Belongs to the thread of its fleet.
final class RunDriver {
  let number: RunNumber
  let plan: any TrainedRun
  /// Where the run is written down.
  let store: OpenRun
  let settings: SchedulerSettings
  unowned let service: FleetService
  let logger: Logger
  let metrics: RunMetrics
  let memory = MemoryWatch()
  /// Where arithmetic on the state and all disk work run, one after the other.
  let queue: SerialThread

  /// The run's folder, as those name it who ask for the run.
  let folderName: String

  var run: RunCore
  /// The state of training; nil until it has been restored. Belongs to `queue`, except while it is at rest.
  var engine: StepEngine?
  var runTimer = Instant.never
  /// Whether the workers were let go in order.
  var isDrained = false

  /// What each worker said in HELLO, by its number in the run.
  var members: [Int: Hello] = [:]
  var kept = KeptResults()
  /// The base model's files, once a worker asks for them.
  lazy var modelFiles = makeModelFileServer()
  lazy var modelBytes = plan.modelFolder.flatMap(ModelFiles.byteCount)

  var progressLine: ProgressLine
  /// When a wait was last named, and when somebody last looked whether one is to be.
  private var lastSaid = MonotonicClock.now()
  private var lastLooked = MonotonicClock.now()

  init(_ number: RunNumber, _ prepared: PreparedRun, service: FleetService) throws {
    self.number = number
    self.service = service
    (plan, store) = (prepared.plan, prepared.store)
    let options = service.options
    try store.ledger.record(plan: plan.tierPlan)
    var settings = try store.settings(plan: plan, options: options)
    options.failpoints.shorten(&settings)
    self.settings = settings
    var logger = service.logger
    if options.isOneOfMany { logger[metadataKey: "run"] = .string(plan.config.experimentName) }
    self.logger = logger
    metrics = RunMetrics(
      service.telemetry.metrics, run: plan.config.experimentName, program: Program.version,
      numSteps: plan.config.numSteps, isOneOfMany: options.isOneOfMany)
    folderName = FleetService.name(of: prepared.store.folder.path)
    metrics.stands(at: try store.ledger.lastStep())
    queue = SerialThread(name: "steps")
    let now = MonotonicClock.now()
    store.memory = { [memory] in memory.json }
    run = RunCore(rules: plan.rules(options, folder: store.folder.path), now: now)
    progressLine = ProgressLine(
      totalSteps: plan.config.numSteps,
      columns: options.isOneOfMany ? nil : ProgressLine.terminalColumns(STDOUT_FILENO),
      name: options.isOneOfMany ? plan.config.experimentName : nil, isMeasuring: plan.measurement != nil,
      now: now.seconds(since: .zero))
  }

  func begin() throws {
    CoordinatorAddress.removeLeftOver(in: store.folder.path)
    // For nl-coord status, pause and resume; without it these read the ledger, or cannot.
    try? CoordinatorAddress.write(service.endpoint, token: service.token, in: store.folder.path)
    try carryOut(run.begin(now: MonotonicClock.now()))
  }

  /// The run is over; what it held is free.
  func finish(_ ending: RunEnding) throws {
    service.show(progressLine.finish())
    switch ending {
    case .failed(let error): try? store.ledger.finish(.failed(reason: "\(error)"))
    case .completed, .stoppedEarly:
      if let status = service.fleet.status(of: number) { metrics.show(status, state: "completed") }
      metrics.showFinished(lastStep: run.progress.step)
    case .stopped: break
    }
    let folder = store.folder.path
    CoordinatorAddress.remove(from: folder)
    let result: Result<RunEnding, any Error> =
      if case .failed(let error) = ending { .failure(error) } else { .success(ending) }
    try service.end(number, folder: folder, result, sendsAway: isDrained)
  }

  /// The process cannot go on, and the run with it.
  func giveUp(_ error: any Error) {
    service.show(progressLine.finish())
    try? store.ledger.finish(.failed(reason: "\(error)"))
    CoordinatorAddress.remove(from: store.folder.path)
  }

  func describe(_ workerID: Int) -> String {
    guard let hello = members[workerID] else { return "worker \(workerID)" }
    return
      "worker \(workerID) (\(hello.host), process \(hello.processID), \(hello.threads) thread\(hello.threads == 1 ? "" : "s"))"
  }

  /// What all messages about the run bear.
  var work: RunTerm { RunTerm(number, term: store.term) }

  /// Sends what is about this run.
  func send(_ message: Message, to peer: PeerID, session: SessionID) {
    service.send(message, to: peer, of: work, session: session)
  }

  /// A wait that lasts is named, with its reason, now and then.
  func sayWhatIsWaitedFor(_ now: Instant) {
    guard now.seconds(since: lastLooked) > 0.5, !service.stopRequested,
      let status = service.fleet.status(of: number)
    else { return }
    lastLooked = now
    // A pause is told of at once, as the start of a run is not.
    let isNew = status.run == .paused && status.since > lastSaid
    guard status.run == .paused || status.run == .gathering, isNew || now.seconds(since: lastSaid) > 10 else {
      return
    }
    lastSaid = now
    logger.notice("waiting: \(status.reason)\(service.howToJoin)")
  }
}
