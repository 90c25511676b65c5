import Coordination
import Transport
import WireProtocol

/// A run on simulated machines: the real cores of coordinator and workers, the real codec, planner and arithmetic, and
/// around them a network, a disk, clocks and processes that exist in memory alone. Everything that happens follows
/// from the scenario, so that a run which goes wrong can be seen again as often as it is needed.
///
///     let outcome = try Simulation(Scenario(seed: 7)).run()
public final class Simulation {
  enum Event {
    case toCoordinator(Packet)
    case toWorker(Packet)
    /// Bytes of a long message have come over this connection.
    case bytesArrive(route: Int, Direction)
    case coordinatorTimer(life: Int, generation: Int)
    case runTimer(life: Int, RunNumber, generation: Int)
    /// Arithmetic or disk work beside the coordinator's loop is done.
    case coordinatorWork(life: Int, name: String, (Simulation) -> Void)
    case childEnded(life: Int, place: Int)
    case coordinatorStart
    case workerTimer(place: Int, life: Int, generation: Int)
    /// What is computed is done.
    case workerDone(place: Int, life: Int, token: Int)
    case workerEvent(place: Int, life: Int, session: Int, WorkerEvent)
    case workerStart(place: Int)
    /// What a process that leaves has sent is out, or has had its time.
    case workerClose(place: Int, life: Int)
    case reconnect(place: Int, socket: Int)
    /// A key may join from now on.
    case keyAllowed(String)
    /// A connection of a flood is given up.
    case floodEnds(route: Int)
    case incident
    case planned(Int)
    case watch
  }

  let scenario: Scenario
  let runs: [SimulatedRun]
  var random: SplitMix64
  var now = Instant.zero
  var events = EventQueue<Event>()
  var outcome: Outcome
  var transcript: Transcript

  /// Nil while no coordinator runs.
  var coordinator: SimulatedCoordinator?
  var workers: [SimulatedWorker]
  /// Connections by id.
  var routes: [Int: Route] = [:]
  var nextRoute = 1
  var partitions: [Partition] = []
  /// Until when the disk takes nothing.
  var diskFaultUntil = Instant.zero
  /// The keys that are let in, and when each of the others was struck off.
  var allowedKeys: AllowedKeys
  var struckKeys: [String: Instant] = [:]
  /// The identities of those that ever lied.
  var liars = Set<String>()
  /// Coordinator processes so far, and what they have done since the run began.
  var coordinatorLives = 0
  var persists = 0
  var sends = 0
  /// Called after every commit of a new step, with its number.
  public var onCommit: ((Int) -> Void)?
  /// Happenings at this very time.
  private var turnsAtOnce = 0
  /// Of the coordinator's wall clock, in milliseconds.
  var wallClockOffset = 0

  /// - Parameter trace: called with every line of a readable transcript.
  public init(_ scenario: Scenario, trace: ((String) -> Void)? = nil) throws {
    self.scenario = scenario
    runs = try scenario.problems.enumerated().map { index, problem in
      try SimulatedRun(
        RunNumber(UInt32(index + 1)), problem, seed: scenario.seed, hasStore: scenario.hasStore,
        isFetched: scenario.workers.contains(where: \.fetchesModels))
    }
    random = SplitMix64(seed: scenario.seed)
    outcome = Outcome(seed: scenario.seed)
    allowedKeys = AllowedKeys(scenario.keys.filter { $0.value <= 0 }.keys)
    transcript = Transcript(write: trace)
    workers = scenario.workers.indices.map {
      SimulatedWorker(place: $0, plan: scenario.workers[$0], transport: scenario.transport)
    }
  }

  var faultsEnd: Instant { .zero + scenario.faultsUntil }
  var isFaulty: Bool { now < faultsEnd }

  /// Runs to the end, or until something is not as it must be.
  public func run() throws -> Outcome {
    events.add(.coordinatorStart, at: .zero)
    for worker in workers where !worker.plan.isLocal {
      if worker.plan.starts > 0 { outcome.count(.lateJoiner) }
      if worker.plan.isStranger { outcome.count(.stranger) }
      if worker.plan.computesOtherwise { outcome.count(.unsoundMachine) }
      events.add(.workerStart(place: worker.place), at: .zero + worker.plan.starts)
    }
    scenario.countFeatures(&outcome)
    for (key, time) in scenario.keys.sorted(by: { $0.key < $1.key }) where time > 0 {
      struckKeys[key] = .zero
      events.add(.keyAllowed(key), at: .zero + time)
    }
    if !scenario.incidents.isEmpty { events.add(.incident, at: .zero + scenario.incidentSeconds * 0.5) }
    for (number, planned) in scenario.planned.enumerated() {
      events.add(.planned(number), at: .zero + planned.time)
    }
    events.add(.watch, at: .zero + 1)
    let deadline = faultsEnd + scenario.secondsAfterFaults
    while !outcome.finished, outcome.problems.isEmpty, let (time, next) = events.next() {
      turnsAtOnce = time > now ? 0 : turnsAtOnce + 1
      now = max(now, time)
      // After a stall of the coordinator all that has come meanwhile is taken at once, bursts among it.
      if turnsAtOnce > 100_000 { problem("something turns round and round: \(whatIsWaitedFor)") }
      if now > deadline { problem("not finished by \(now): \(whatIsWaitedFor)") }
      try take(next)
    }
    for run in runs where outcome.problems.isEmpty { checkStore(of: run) }
    outcome.digest = runs.map(\.digest).joined(separator: " ")
    outcome.simulatedSeconds = now.seconds(since: .zero)
    outcome.secondsToEnd = max(0, now.seconds(since: faultsEnd))
    outcome.secondsBeyondWork = max(0, outcome.secondsToEnd - scenario.workSeconds)
    outcome.peakEvents = events.peak
    outcome.fingerprint = transcript.fingerprint.value
    return outcome
  }

  /// Something that must not be.
  func problem(_ text: String) {
    note("PROBLEM: \(text)")
    outcome.problems.append("\(now): \(text)")
  }

  func note(_ line: @autoclosure () -> String) { transcript.note(now, line()) }

  private var whatIsWaitedFor: String {
    guard let coordinator else { return "there is no coordinator" }
    guard !coordinator.drivers.isEmpty else { return "no run is at work" }
    return coordinator.inOrder.map { whatIsWaitedFor(by: $0, coordinator) }.joined(separator: " | ")
  }

  private func whatIsWaitedFor(by driver: SimulatedDriver, _ coordinator: SimulatedCoordinator) -> String {
    guard let status = coordinator.fleet.status(of: driver.number) else { return "\(driver.number) is over" }
    let workers = status.workers.map { "worker \($0.id) \($0.state.rawValue): \($0.reason)" }
    return "\(status.run), \(status.reason); \(driver.core.waitsFor); \(workers.joined(separator: "; "))"
  }

  // MARK: - One thing after the other

  private func take(_ event: Event) throws {
    if let later = delay(of: event) {
      return events.add(event, at: later, isTimer: event.isTimer)
    }
    transcript.add(now, event)
    switch event {
    case .toCoordinator(let packet): arriveAtCoordinator(packet)
    case .toWorker(let packet): arriveAtWorker(packet)
    case .bytesArrive(let route, let direction): bytesArrive(over: route, direction)
    case .coordinatorTimer(let life, let generation):
      guard let coordinator, coordinator.life == life, coordinator.fleetTimer == generation else {
        return
      }
      handle(.timer)
    case .runTimer(let life, let run, let generation):
      guard let coordinator, coordinator.life == life, let driver = coordinator.drivers[run],
        driver.timer == generation
      else { return }
      tell(driver, .timer)
    case .coordinatorWork(let life, let name, let work):
      guard coordinator?.life == life else { return }
      note("coordinator: \(name)")
      work(self)
    case .childEnded(let life, let place):
      if coordinator?.life == life { childEnded(place) }
    case .coordinatorStart: startCoordinator()
    case .workerTimer(let place, let life, let generation):
      guard workers[place].isAlive(life), workers[place].timer == generation else { return }
      tell(place, .timer)
    case .workerDone(let place, let life, let token):
      if workers[place].isAlive(life) { computed(place, token: token) }
    case .workerEvent(let place, let life, let session, let event):
      if workers[place].isAlive(life), workers[place].session == session { tell(place, event) }
    case .workerStart(let place): startWorker(place)
    case .workerClose(let place, let life): if workers[place].isAlive(life) { close(place) }
    case .reconnect(let place, let socket): reconnect(place, socket: socket)
    case .keyAllowed(let key): allow(key)
    case .floodEnds(let route): routes[route] = nil
    case .incident: incident()
    case .planned(let number):
      let planned = scenario.planned[number]
      strike(planned.kind, place: planned.place, seconds: planned.seconds)
    case .watch: watch()
    }
  }

  /// Until when something has to wait because whom it concerns stands still.
  private func delay(of event: Event) -> Instant? {
    switch event {
    case .toCoordinator(let packet):
      if let until = partition(routes[packet.route]?.place, .up) { return until }
      return stall
    case .bytesArrive(let route, let direction):
      guard let place = routes[route]?.place else { return nil }
      if let until = partition(place, direction) { return until }
      return direction == .up ? stall : workers[place].thaw(after: now)
    case .coordinatorTimer, .runTimer, .coordinatorWork, .childEnded: return stall
    case .toWorker(let packet):
      if let until = partition(routes[packet.route]?.place, .down) { return until }
      return routes[packet.route].flatMap { workers[$0.place].thaw(after: now) }
    case .workerTimer(let place, _, _), .workerDone(let place, _, _), .workerEvent(let place, _, _, _):
      return workers[place].thaw(after: now)
    case .coordinatorStart, .workerStart, .workerClose, .reconnect, .incident, .planned, .watch,
      .keyAllowed, .floodEnds:
      return nil
    }
  }

  private var stall: Instant? { coordinator.flatMap { $0.stalledUntil > now ? $0.stalledUntil : nil } }
}

extension Simulation.Event {
  var isTimer: Bool {
    switch self {
    case .coordinatorTimer, .runTimer, .workerTimer: true
    default: false
    }
  }
}
