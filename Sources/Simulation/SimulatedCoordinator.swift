import Coordination
import NestedLearning
import Service
import WireProtocol

/// A coordinator process: what CoordinatorService holds beside the core.
final class SimulatedCoordinator {
  /// Counts the processes.
  let life: Int
  let term: UInt64
  /// Added to the simulation's time to make the process's own clock.
  let clockOffset: Int64
  var core: CoordinatorCore
  private(set) var engine: StepEngine
  var progress: RunProgress
  var snapshots: SnapshotSchedule
  var tiers: [TierValues]
  /// The last step that was committed before this process took the run, or went back.
  private(set) var replayedUpTo: Int

  var timer = 0
  var stalledUntil = Instant.zero
  var archive = ParameterHistory()
  /// What goes on once windows have what they lack.
  var whenComplete: ((Simulation) -> Void)?
  /// What goes on once gradients have been computed again to check chains, and attempts whose chains were right.
  var whenAudited: ((Simulation, [UnitResult]) -> Void)?
  var audited = Set<Int>()
  var batches: [AssignedMicroBatch] = []
  var unitTokens = 0
  /// The message that the core is being told of, and those that it said to keep, by attempt.
  var incoming: ResultMessage?
  var payloads: [Int: ResultMessage] = [:]
  var recorded = Set<Int>()
  /// For the ledger, with the next commit: results that count, and identities in quarantine.
  var rows: [SimulatedDisk.Row] = []
  var quarantines: [String] = []
  /// Identities whose unverified results are to be undone, and what workers said in HELLO.
  var toUndo: [String] = []
  /// See `CoordinatorService`.
  var windowsAreVoid = false
  var members: [Int: Hello] = [:]
  /// Local workers that are not started again.
  var retired = Set<Int>()
  /// What each attempt was for.
  var units: [Int: WorkUnit] = [:]
  var localPeers: [Int: PeerID] = [:]
  var greetings: [PeerID: Hello] = [:]
  var unreachable: [(peer: PeerID, reason: String)] = []
  var refusedOffers: [(peer: PeerID, envelope: Envelope, result: ResultSummary)] = []
  var expectsEnds = false
  /// Where the run is, for the report of one that does not end.
  var doing = "begins"

  init(
    life: Int, term: UInt64, clockOffset: Int64, core: CoordinatorCore, engine: StepEngine,
    progress: RunProgress, replayedUpTo: Int, now: Double
  ) {
    self.life = life
    self.term = term
    self.clockOffset = clockOffset
    self.core = core
    self.engine = engine
    self.progress = progress
    self.replayedUpTo = replayedUpTo
    snapshots = SnapshotSchedule(step: progress.step, bytes: 1000, now: now)
    tiers = engine.tierValues()
  }

  /// Goes on from another state.
  func take(_ state: (engine: StepEngine, progress: RunProgress), replayedUpTo: Int) {
    (engine, progress) = state
    self.replayedUpTo = replayedUpTo
    tiers = engine.tierValues()
    archive = ParameterHistory()
  }

  func clock(_ now: Instant) -> Instant { Instant(nanoseconds: now.nanoseconds + clockOffset) }
  func time(of clock: Instant) -> Instant { Instant(nanoseconds: clock.nanoseconds - clockOffset) }
}

/// The life of coordinator processes.
extension Simulation {
  static let model = String(repeating: "a", count: 64)

  func startCoordinator() throws {
    guard coordinator == nil, !outcome.finished else { return }
    guard now >= diskFaultUntil else {
      // It cannot begin its term, and says so; whoever looks after it starts it again.
      return events.add(.coordinatorStart, at: now + scenario.restartSeconds)
    }
    guard transact("the term", { $0.beginTerm() }) else { return }
    coordinatorLives += 1
    outcome.count("terms")
    let (engine, progress) = try restored()
    let offset = Int64.random(in: 0...1 << 50, using: &random)
    let coordinator = SimulatedCoordinator(
      life: coordinatorLives, term: disk.term, clockOffset: offset,
      core: CoordinatorCore(
        settings: settings(), now: Instant(nanoseconds: now.nanoseconds + offset)),
      engine: engine, progress: progress, replayedUpTo: disk.lastStep, now: now.seconds(since: .zero))
    coordinator.toUndo = disk.identitiesToUndo
    self.coordinator = coordinator
    note("coordinator of term \(disk.term) begins after step \(progress.step) of \(disk.lastStep)")
    for worker in workers where worker.plan.isLocal {
      events.add(.workerStart(place: worker.place), at: now + 0.05)
    }
    publish()
  }

  /// The state of the last snapshot, or the one before step 1.
  func restored() throws -> (engine: StepEngine, progress: RunProgress) {
    let problem = scenario.problem
    guard let snapshot = disk.snapshots.first else {
      return (StepEngine(state: try problem.initialState()), RunProgress())
    }
    if StateDigest.of(snapshot.trainer.tensors) != snapshot.digest {
      self.problem("the snapshot of step \(snapshot.step) is not what was written")
    }
    let state = try NestedTrainerState(
      config: problem.config, scheduler: problem.scheduler, shapes: problem.shapes, snapshot: snapshot.trainer
    )
    return (StepEngine(state: state), snapshot.progress)
  }

  /// Tells the ledger and the core of all tiers as they are now, and goes on.
  func publish() {
    durably("all tiers") { _, _ in
    } then: { simulation in
      guard let coordinator = simulation.coordinator else { return }
      simulation.handle(.parametersChanged(coordinator.versions(of: coordinator.tiers)))
      if simulation.scenario.problem.usesWindows { simulation.handle(.windows(simulation.book(coordinator))) }
      simulation.goOn()
    }
  }

  private func settings() -> CoordinatorSettings {
    var settings = CoordinatorSettings(
      term: disk.term, tierParameterCounts: scenario.problem.scheduler.tiers.map(\.parameterCount),
      modelSHA256: Self.model, numericProfile: "toy", sessionSeed: random.next())
    settings.run = "simulated"
    settings.expectedLocalWorkers = workers.count { $0.plan.isLocal }
    settings.initialLeaseSeconds = scenario.initialLeaseSeconds
    settings.probeSHA256 = Self.rightProbe
    settings.verifyFraction = scenario.problem.config.verifyFraction
    settings.verifySeed = random.next()
    settings.quarantined = Set(disk.quarantined)
    return settings
  }

  /// The process is gone, its children with it, and every connection. Somebody starts it again.
  func endCoordinator(restart: Bool) {
    guard coordinator != nil else { return }
    coordinator = nil
    for worker in workers where worker.plan.isLocal && worker.isAlive {
      disconnect(worker.place, flushing: false)
      workers[worker.place].end()
    }
    for worker in workers where worker.route != nil { cut(worker.place) }
    routes = [:]
    if restart { events.add(.coordinatorStart, at: now + scenario.restartSeconds) }
  }

  func killCoordinator(_ kind: FaultKind) {
    note("the coordinator is killed (\(kind.rawValue))")
    outcome.count(kind)
    endCoordinator(restart: true)
  }

  /// Sends, unless the coordinator is killed at this very message.
  ///
  /// - Returns: whether it lives on.
  func deliver(_ message: Message, to peer: PeerID, session: SessionID) -> Bool {
    guard let coordinator else { return false }
    sends += 1
    let isHere = sends == scenario.killAtSendNumber
    let dies = isHere || (isFaulty && random.chance(scenario.killsAtSend))
    if !dies || (isHere ? scenario.seed % 2 == 1 : random.chance(0.5)) {
      put(message, to: peer, session: session, coordinator)
    }
    if dies { killCoordinator(.coordinatorKilledAtSend) }
    return !dies
  }

  private func put(
    _ message: Message, to peer: PeerID, session: SessionID, _ coordinator: SimulatedCoordinator
  ) {
    let id = Route.id(of: peer)
    guard let route = routes[id], !route.isClosing else {
      return coordinator.unreachable.append((peer, "connection \(peer) is not connected"))
    }
    var end = route.link
    do {
      defer { routes[id]?.link = end }
      try end.send(message, term: coordinator.term, session: session, now: seconds) {
        transmit($0, over: id, .down)
      }
    } catch {
      if error.kind == .message { problem("the coordinator cannot send \(message.type.name): \(error)") }
      coordinator.unreachable.append((peer, error.description))
    }
  }
}

extension SimulatedCoordinator {
  func versions(of tiers: [TierValues]) -> [Int: TierVersion] {
    Dictionary(
      uniqueKeysWithValues: tiers.map { ($0.tier, TierVersion(version: $0.version, digest: $0.digest)) })
  }
}
