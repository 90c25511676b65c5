import Coordination
import NestedLearning
import Service
import Training
import Transport
import WireProtocol

/// A coordinator process: the fleet's core, the runs that have begun, and what FleetService holds beside them.
final class SimulatedCoordinator {
  /// Counts the processes.
  let life: Int
  /// Added to the simulation's time to make the process's own clock.
  let clockOffset: Int64
  var fleet: FleetCore
  /// Runs that have begun and are not over, and whose turn it is of the others.
  var drivers: [RunNumber: SimulatedDriver] = [:]
  var queue: RunQueue

  /// What a core has not been told of yet: it is told of one thing at a time, after all that followed from the last.
  enum Told {
    case fleet(FleetEvent, incoming: ResultMessage?)
    case run(SimulatedDriver, RunEvent)
  }
  var told: [Told] = []
  var isTelling = false
  /// Counts the timers that were set.
  var fleetTimer = 0
  var stalledUntil = Instant.zero

  /// What has come of transfers whose connections broke.
  let kept: KeptObjects
  /// The connections of local workers.
  var localPeers: [Int: PeerID] = [:]
  /// Local workers that are not started again.
  var retired = Set<Int>()
  /// Where those are that have said HELLO, and the keys with which they were let in.
  var origins: [PeerID: (place: Int, key: String?)] = [:]
  /// Keys whose workers were welcomed.
  var keysSeen = Set<String>()
  /// The workers will be sent away.
  var expectsEnds = false
  var unreachable: [(peer: PeerID, reason: String)] = []
  var offers: [(peer: PeerID, envelope: Envelope, result: ResultSummary, isRefused: Bool)] = []

  init(life: Int, clockOffset: Int64, fleet: FleetCore, queue: RunQueue, transport: TransportOptions) {
    kept = KeptObjects(settings: transport.transfers)
    self.life = life
    self.clockOffset = clockOffset
    self.fleet = fleet
    self.queue = queue
  }

  var inOrder: [SimulatedDriver] { drivers.sorted { $0.key < $1.key }.map(\.value) }

  func clock(_ now: Instant) -> Instant { Instant(nanoseconds: now.nanoseconds + clockOffset) }
  func time(of clock: Instant) -> Instant { Instant(nanoseconds: clock.nanoseconds - clockOffset) }
}

/// The life of coordinator processes.
extension Simulation {
  func startCoordinator() {
    guard coordinator == nil, !outcome.finished else { return }
    // A single run is taken before there is a fleet.
    if runs.count == 1, !isReady(runs[0]) { return }
    coordinatorLives += 1
    outcome.count("coordinator processes")
    let offset = Int64.random(in: 0...1 << 50, using: &random)
    let clock = Instant(nanoseconds: now.nanoseconds + offset)
    var settings = FleetSettings(sessionSeed: random.next())
    settings.maximumWorkersOfKey = scenario.workersOfKey
    let coordinator = SimulatedCoordinator(
      life: coordinatorLives, clockOffset: offset, fleet: FleetCore(settings: settings, now: clock),
      queue: RunQueue(runs.map(\.number), parallel: scenario.parallelRuns), transport: scenario.transport)
    self.coordinator = coordinator
    note("coordinator \(coordinatorLives) begins")
    for worker in workers where worker.plan.isLocal {
      events.add(.workerStart(place: worker.place), at: now + 0.05)
    }
    beginNext()
  }

  /// The process is gone, its children with it, and every connection. Somebody starts it again.
  func endCoordinator(restart: Bool) {
    guard coordinator != nil else { return }
    coordinator = nil
    leaveStores()
    for worker in workers where worker.plan.isLocal && worker.isAlive {
      endDownload(at: worker.place)
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
