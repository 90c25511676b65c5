import Coordination
import NestedLearning
import Service
import Transport
import WireProtocol

/// A place for worker processes, and the one that is there now.
struct SimulatedWorker {
  let place: Int
  let plan: Scenario.WorkerPlan
  let transport: TransportOptions
  var core: WorkerCore
  private(set) var isAlive = false
  /// Counts the processes that were here.
  private(set) var life = 0
  /// Counts the sessions of the process: what belongs to an earlier one is dropped.
  var session = 0
  /// Added to the simulation's time to make the process's own clock.
  private(set) var clockOffset: Int64 = 0
  var timer = 0
  var frozenUntil = Instant.zero

  // The socket.
  private(set) var socket = 0
  var route: Int?
  var link: LinkEnd
  private var kept = KeptObjects()
  /// How the process ends, once what it has sent is out.
  var ending: (successful: Bool, reason: String)?
  private var unsent: [[[UInt8]]] = []

  // The arithmetic.
  var queue = ComputeQueue()
  var parameters = ToyParameters(counts: [])
  var chains = WorkerChains()
  var wrongChains = WrongChains()
  var slowUntil = Instant.zero

  init(place: Int, plan: Scenario.WorkerPlan, transport: TransportOptions) {
    self.place = place
    self.plan = plan
    self.transport = transport
    link = .worker(transport)
    core = WorkerCore(settings: SimulatedWorker.settings(place: place, life: 0, plan: plan))
  }

  private static func settings(place: Int, life: Int, plan: Scenario.WorkerPlan) -> WorkerSettings {
    WorkerSettings(
      hello: Hello(
        program: "nl-worker", numericProfile: plan.isStranger ? "other" : "toy",
        isa: "toy", threads: 1,
        host: "host\(place)", processID: 1000 + life, localIndex: plan.isLocal ? place : nil),
      endpoint: "sim")
  }

  func isAlive(_ life: Int) -> Bool { isAlive && self.life == life }

  mutating func start(clockOffset: Int64) {
    life += 1
    isAlive = true
    core = WorkerCore(settings: Self.settings(place: place, life: life, plan: plan))
    self.clockOffset = clockOffset
    session = 0
    kept = KeptObjects(settings: transport.transfers)
    timer = 0
    frozenUntil = .zero
    queue = ComputeQueue()
    slowUntil = .zero
    ending = nil
    parameters = ToyParameters(counts: [])
    chains = WorkerChains()
    wrongChains = WrongChains()
  }

  mutating func end() {
    isAlive = false
    unsent = []
  }

  mutating func openSocket(now: Double) {
    socket += 1
    link.end(now: now)
    link = .worker(transport, kept: kept)
    unsent = []
  }

  /// What was sent before the connection stood.
  mutating func takeUnsent() -> [[[UInt8]]] {
    defer { unsent = [] }
    return unsent
  }

  /// - Returns: whether there is room.
  mutating func queue(_ frames: [[UInt8]]) -> Bool {
    guard unsent.count < Simulation.highWaterMark else { return false }
    unsent.append(frames)
    return true
  }

  func thaw(after now: Instant) -> Instant? { isAlive && frozenUntil > now ? frozenUntil : nil }

  func clock(_ now: Instant) -> Instant { Instant(nanoseconds: now.nanoseconds + clockOffset) }
  func time(of clock: Instant) -> Instant { Instant(nanoseconds: clock.nanoseconds - clockOffset) }
}

/// What WorkerService does around the core.
extension Simulation {
  /// What the probe comes to on a sound machine, and on one that computes otherwise.
  static let rightProbe = String(repeating: "b", count: 64)
  static let otherProbe = String(repeating: "c", count: 64)

  func startWorker(_ place: Int) {
    guard !workers[place].isAlive, !outcome.finished else { return }
    workers[place].start(clockOffset: Int64.random(in: 0...1 << 50, using: &random))
    note("worker \(place) is started, process \(workers[place].life)")
    tell(place, .start)
  }

  /// The process ends at once, however.
  func endWorker(_ place: Int, flushing: Bool) {
    guard workers[place].isAlive else { return }
    disconnect(place, flushing: flushing)
    workers[place].end()
    if workers[place].plan.isLocal, let coordinator {
      events.add(.childEnded(life: coordinator.life, place: place), at: now + 0.002)
    }
  }

  /// Says GOODBYE over a shard that it has just been given, and comes back as another process.
  func leave(_ place: Int, with assign: AssignMessage) {
    outcome.count(.leavesWithShard)
    note("worker \(place) leaves with attempt \(assign.attempt)")
    _ = send(.goodbye, from: place)
    endWorker(place, flushing: true)
    if !workers[place].plan.isLocal { events.add(.workerStart(place: place), at: now + 0.1) }
  }

  func tell(_ place: Int, _ event: WorkerEvent) {
    guard workers[place].isAlive else { return }
    var failure: String?
    for effect in workers[place].core.step(event, now: workers[place].clock(now)) {
      if let reason = carryOut(effect, place) { failure = reason }
    }
    if let failure { tell(place, .connectionFailed(reason: failure)) }
  }

  /// - Returns: why something could not be sent.
  private func carryOut(_ effect: WorkerEffect, _ place: Int) -> String? {
    switch effect {
    case .connect:
      disconnect(place, flushing: false)
      workers[place].openSocket(now: seconds)
      reconnect(place, socket: workers[place].socket)
    case .abandon:
      workers[place].session += 1
      cancel(nil, place)
    case .send(let message): return send(message, from: place)
    case .loadModel(let run):
      enqueue(place, .other, seconds: scenario.loadSeconds) { simulation in
        simulation.workers[place].chains = WorkerChains()
        simulation.workers[place].wrongChains = WrongChains()
        simulation.workers[place].parameters = ToyParameters(
          counts: run.tiers.map { $0.reduce(0) { $0 + $1.count } })
        return .modelLoaded(sha256: run.modelSHA256)
      }
    case .apply(let parameters):
      enqueue(place, .other, seconds: 0) { simulation in
        do {
          simulation.workers[place].parameters.set(
            tier: parameters.tier, version: parameters.version, try parameters.values.floats())
          return nil
        } catch { return .modelFailed(reason: "\(error)") }
      }
    case .takeWindow(let window):
      outcome.count("chains handed over")
      enqueue(place, .other, seconds: 0) { simulation in
        try? simulation.workers[place].chains.take(window, layout: simulation.scenario.problem.layout)
        simulation.workers[place].wrongChains.take(window)
        return nil
      }
    case .compute(let job, let assign): compute(job, assign, place)
    case .probe:
      enqueue(place, .other, seconds: scenario.computeSeconds) { simulation in
        .probed(sha256: simulation.workers[place].plan.computesOtherwise ? Self.otherProbe : Self.rightProbe)
      }
    case .stop(let job): cancel(job, place)
    case .renew(let job, let attempt):
      let progress = workers[place].queue.progress(of: job, now: now)
      return send(.leaseRenew(LeaseRenew(attempt: attempt, progress: progress)), from: place)
    case .log(let line): note("worker \(place): \(line)")
    case .exit(let successful, let reason): exited(place, successful: successful, reason)
    case .armTimer(let instant):
      workers[place].timer += 1
      if instant != .never {
        let timer = Event.workerTimer(
          place: place, life: workers[place].life, generation: workers[place].timer)
        events.add(timer, at: max(now, workers[place].time(of: instant)), isTimer: true)
      }
    }
    return nil
  }

  func send(_ message: Message, from place: Int) -> String? {
    if let altered = alter(message, from: place) { return send(altered, unless: message, from: place) }
    return send(message, unless: nil, from: place)
  }

  /// - Parameter other: what is sent in its place if it cannot be encoded.
  private func send(_ message: Message, unless other: Message?, from place: Int) -> String? {
    let worker = workers[place]
    var end = worker.link
    do throws(TransportError) {
      defer { workers[place].link = end }
      try end.send(message, of: worker.core.work, session: worker.core.session, now: seconds) { frames in
        worker.route.map { transmit(frames, over: $0, .up) } ?? workers[place].queue(frames)
      }
      return nil
    } catch {
      if error.kind == .message, let other { return send(other, unless: nil, from: place) }
      if error.kind == .message { problem("worker \(place) cannot send \(message.type.name): \(error)") }
      return error.description
    }
  }

  private func exited(_ place: Int, successful: Bool, _ reason: String) {
    note("worker \(place) exits: \(reason)")
    workers[place].ending = (successful, reason)
    // What it has sent goes out first, for a bounded time.
    guard workers[place].route != nil, !workers[place].link.hasSentAll else { return close(place) }
    events.add(
      .workerClose(place: place, life: workers[place].life), at: now + scenario.transport.drainSeconds)
  }

  func close(_ place: Int) {
    guard let (successful, reason) = workers[place].ending else { return }
    workers[place].ending = nil
    endWorker(place, flushing: true)
    let plan = workers[place].plan
    if plan.computesOtherwise {
      if successful { return }
      // As any worker may that finds no coordinator for so long.
      if reason.contains("no coordinator answered") { return outcome.count("worker gives up") }
      if !reason.contains("probe") { problem("the unsound machine exits with: \(reason)") }
      return outcome.count("unsound machine refused")
    }
    if plan.isStranger {
      if successful { return }
      if reason.contains("no coordinator answered") { return outcome.count("worker gives up") }
      if !reason.contains("numeric profile") { problem("the stranger exits with: \(reason)") }
      return outcome.count("stranger refused")
    }
    if liars.contains(workers[place].core.settings.identity),
      reason.contains("is not the one") || reason.contains("is not what")
        || reason.contains("wrong result")
    {
      outcome.count("liar sent away")
    } else {
      outcome.count(successful ? "worker exits" : "worker gives up")
    }
    if plan.alters > 0 { outcome.count("hostile worker exits") }
    if !successful, !liars.contains(workers[place].core.settings.identity),
      !reason.contains("no coordinator answered"), !reason.contains("takes no workers")
    {
      problem("worker \(place) exits: \(reason)")
    }
    // Whoever looks after that machine starts it again; the coordinator looks after its own.
    if !plan.isLocal { events.add(.workerStart(place: place), at: now + 5) }
  }
}
