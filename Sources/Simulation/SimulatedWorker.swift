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
  /// What the coordinator has told this local worker alone; nil for all others, and where nobody has a secret.
  private(set) var secret: String?
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

  var models = FetchedModels()
  /// The model that is being fetched.
  var download: ModelDownload?

  // The arithmetic.
  /// The run whose model is loaded.
  var run = RunNumber(1)
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
    core = WorkerCore(settings: SimulatedWorker.settings(place: place, life: 0, plan: plan, secret: nil))
  }

  private static func settings(
    place: Int, life: Int, plan: Scenario.WorkerPlan, secret: String?
  ) -> WorkerSettings {
    WorkerSettings(
      hello: Hello(
        program: "nl-worker", numericProfile: plan.isStranger ? "other" : "toy",
        isa: "toy", threads: 1,
        host: "host\(place)", processID: 1000 + life, localIndex: plan.isLocal ? place : nil,
        modelSHA256: plan.ownModel.map(SimulatedRun.model), localSecret: secret),
      endpoint: "sim")
  }

  /// As the coordinator knows it: by its key, or without one as this process.
  var identity: String {
    plan.key ?? "\(core.settings.hello.host)/\(core.settings.hello.processID)"
  }

  func isAlive(_ life: Int) -> Bool { isAlive && self.life == life }

  /// - Parameter hasSecret: whether anybody else might say that it is this local worker.
  mutating func start(clockOffset: Int64, hasSecret: Bool) {
    life += 1
    isAlive = true
    secret = plan.isLocal && hasSecret ? "what only \(place).\(life) knows" : nil
    core = WorkerCore(settings: Self.settings(place: place, life: life, plan: plan, secret: secret))
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
    workers[place].start(
      clockOffset: Int64.random(in: 0...1 << 50, using: &random), hasSecret: scenario.hasHostileHellos)
    note("worker \(place) is started, process \(workers[place].life)")
    tell(place, .start)
  }

  /// The process ends at once, however.
  func endWorker(_ place: Int, flushing: Bool) {
    guard workers[place].isAlive else { return }
    endDownload(at: place)
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
      endDownload(at: place)
      workers[place].session += 1
      cancel(nil, place)
    case .send(let message): return send(message, from: place)
    case .loadModel(let run): load(run, at: place)
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
      let layout = run(workers[place].core.work.run).problem.layout
      enqueue(place, .other, seconds: 0) { simulation in
        try? simulation.workers[place].chains.take(window, layout: layout)
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
    repeatHello(before: message, from: place)
    if let altered = alter(message, from: place) { return send(altered, unless: message, from: place) }
    return send(message, unless: nil, from: place)
  }

  /// - Parameter other: what is sent in its place if it cannot be encoded.
  func send(_ message: Message, unless other: Message?, from place: Int) -> String? {
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
}
