import Coordination
import NestedLearning
import Service
import Training
import Transport
import WireProtocol

/// A coordinator process with one run: the cores, and what FleetService and RunDriver hold beside them.
final class SimulatedCoordinator {
  /// Counts the processes.
  let life: Int
  let term: UInt64
  /// Added to the simulation's time to make the process's own clock.
  let clockOffset: Int64
  var fleet: FleetCore
  var run: RunCore
  /// Nil until the state has been restored.
  var engine: StepEngine?

  /// What a core has not been told of yet: it is told of one thing at a time, after all that followed from the last.
  enum Told {
    case fleet(FleetEvent, incoming: ResultMessage?)
    case run(RunEvent)
  }
  var told: [Told] = []
  var isTelling = false
  /// Count the timers that were set.
  var fleetTimer = 0
  var runTimer = 0
  var stalledUntil = Instant.zero
  /// When all that was given to the queue beside the loop is done.
  var queueIsFree = Instant.zero

  /// What has come of transfers whose connections broke.
  let kept: KeptObjects
  /// Results that the fleet said to keep, by attempt.
  var payloads: [Int: ResultMessage] = [:]
  var recorded = Set<Int>()
  /// What each attempt was for.
  var units: [Int: WorkUnit] = [:]
  /// What workers said in HELLO, and the connections of local ones.
  var members: [Int: Hello] = [:]
  var localPeers: [Int: PeerID] = [:]
  /// Local workers that are not started again.
  var retired = Set<Int>()
  /// The run has let its workers go, and they will be sent away.
  var expectsEnds = false
  /// How the run ended; nil while it goes on.
  var ending: RunEnding?
  var unreachable: [(peer: PeerID, reason: String)] = []
  var offers: [(peer: PeerID, envelope: Envelope, result: ResultSummary, isRefused: Bool)] = []

  init(
    life: Int, term: UInt64, clockOffset: Int64, fleet: FleetCore, run: RunCore,
    transport: TransportOptions
  ) {
    kept = KeptObjects(settings: transport.transfers)
    self.life = life
    self.term = term
    self.clockOffset = clockOffset
    self.fleet = fleet
    self.run = run
  }

  /// What all messages about the run bear.
  var work: RunTerm { RunTerm(Self.number, term: term) }
  /// How the work of the run stands; nil once it is over.
  var status: CoordinatorStatus? { fleet.status(of: Self.number) }

  static let number = RunNumber(1)

  func clock(_ now: Instant) -> Instant { Instant(nanoseconds: now.nanoseconds + clockOffset) }
  func time(of clock: Instant) -> Instant { Instant(nanoseconds: clock.nanoseconds - clockOffset) }
}

/// The life of coordinator processes.
extension Simulation {
  static let model = String(repeating: "a", count: 64)

  func startCoordinator() {
    guard coordinator == nil, !outcome.finished else { return }
    guard beginTerm() else { return }
    coordinatorLives += 1
    outcome.count("terms")
    let offset = Int64.random(in: 0...1 << 50, using: &random)
    let clock = Instant(nanoseconds: now.nanoseconds + offset)
    let problem = scenario.problem
    let rules = RunRules(
      config: problem.config, plan: TierPlan(scheduler: problem.scheduler), batches: problem,
      stateBytes: 1000,
      resumeCommand: "nl-coord resume")
    let coordinator = SimulatedCoordinator(
      life: coordinatorLives, term: disk.term, clockOffset: offset,
      fleet: FleetCore(settings: FleetSettings(sessionSeed: random.next()), now: clock),
      run: RunCore(rules: rules, now: clock), transport: scenario.transport)
    self.coordinator = coordinator
    note("coordinator of term \(disk.term) begins")
    for worker in workers where worker.plan.isLocal {
      events.add(.workerStart(place: worker.place), at: now + 0.05)
    }
    handle(.begin(SimulatedCoordinator.number, settings()))
    carryOut(coordinator.run.begin(now: clock), coordinator)
  }

  private func settings() -> SchedulerSettings {
    var settings = SchedulerSettings(
      term: disk.term, run: "simulated",
      tierParameterCounts: scenario.problem.scheduler.tiers.map(\.parameterCount),
      modelSHA256: Self.model, numericProfile: "toy")
    settings.expectedLocalWorkers = workers.count { $0.plan.isLocal }
    settings.initialLeaseSeconds = scenario.initialLeaseSeconds
    settings.probeSHA256 = Self.rightProbe
    // So that the order of results is kept however small they are.
    settings.resultBytes = 0
    settings.verifyFraction = scenario.problem.config.verifyFraction
    settings.verifySeed = random.next()
    settings.quarantined = Set(disk.quarantined)
    return settings
  }

  /// The process is gone, its children with it, and every connection. Somebody starts it again.
  func endCoordinator(restart: Bool) {
    guard coordinator != nil else { return }
    coordinator = nil
    leaveStore()
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
  func deliver(
    _ message: Message, to peer: PeerID, session: SessionID, of work: RunTerm = .none
  ) -> Bool {
    guard let coordinator else { return false }
    sends += 1
    let isHere = sends == scenario.killAtSendNumber
    let dies = isHere || (isFaulty && random.chance(scenario.killsAtSend))
    if !dies || (isHere ? scenario.seed % 2 == 1 : random.chance(0.5)) {
      put(message, to: peer, session: session, work, coordinator)
    }
    if dies { killCoordinator(.coordinatorKilledAtSend) }
    return !dies
  }

  private func put(
    _ message: Message, to peer: PeerID, session: SessionID, _ work: RunTerm,
    _ coordinator: SimulatedCoordinator
  ) {
    let id = Route.id(of: peer)
    guard let route = routes[id], !route.isClosing else {
      return coordinator.unreachable.append((peer, "connection \(peer) is not connected"))
    }
    var end = route.link
    do {
      defer { routes[id]?.link = end }
      try end.send(message, of: work, session: session, now: seconds) {
        transmit($0, over: id, .down)
      }
    } catch {
      if error.kind == .message { problem("the coordinator cannot send \(message.type.name): \(error)") }
      coordinator.unreachable.append((peer, error.description))
    }
  }
}
