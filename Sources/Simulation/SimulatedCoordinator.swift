import Coordination
import NestedLearning
import Protocol
import Service

/// A coordinator process: what CoordinatorService holds beside the core.
final class SimulatedCoordinator {
  /// Counts the processes.
  let life: Int
  let term: UInt64
  /// Added to the simulation's time to make the process's own clock.
  let clockOffset: Int64
  var core: CoordinatorCore
  let engine: StepEngine
  var progress: RunProgress
  var snapshots: SnapshotSchedule
  var tiers: [TierValues]
  /// The last step that was committed before this process.
  let replayedUpTo: Int

  var timer = 0
  var stalledUntil = Instant.zero
  var archive = VersionArchive()
  /// What goes on once windows have what they lack.
  var whenComplete: ((Simulation) -> Void)?
  var batches: [AssignedMicroBatch] = []
  var unitTokens = 0
  /// The message that the core is being told of, and those that it said to keep, by attempt.
  var incoming: ResultMessage?
  var payloads: [Int: ResultMessage] = [:]
  var recorded = Set<Int>()
  /// What each attempt was for.
  var units: [Int: WorkUnit] = [:]
  var localPeers: [Int: PeerID] = [:]
  var greetings: [PeerID: Hello] = [:]
  var unreachable: [(peer: PeerID, reason: String)] = []
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

  func clock(_ now: Instant) -> Instant { Instant(nanoseconds: now.nanoseconds + clockOffset) }
  func time(of clock: Instant) -> Instant { Instant(nanoseconds: clock.nanoseconds - clockOffset) }
}

/// The life of coordinator processes.
extension Simulation {
  static let model = String(repeating: "a", count: 64)

  func startCoordinator() throws {
    guard coordinator == nil, !outcome.finished else { return }
    guard durably("the term", { $0.beginTerm() }) else { return }
    coordinatorLives += 1
    outcome.count("terms")
    let problem = scenario.problem
    let snapshot = disk.snapshots.last
    let state =
      try snapshot.map {
        try NestedTrainerState(
          config: problem.config, scheduler: problem.scheduler, shapes: problem.shapes, snapshot: $0.trainer)
      } ?? problem.initialState()
    if let snapshot, StateDigest.of(snapshot.trainer.tensors) != snapshot.digest {
      self.problem("the snapshot of step \(snapshot.step) is not what was written")
    }
    let progress = try snapshot.map { try RunProgress(json: $0.progress) } ?? RunProgress()
    let offset = Int64.random(in: 0...1 << 50, using: &random)
    let coordinator = SimulatedCoordinator(
      life: coordinatorLives, term: disk.term, clockOffset: offset,
      core: CoordinatorCore(
        settings: settings(), now: Instant(nanoseconds: now.nanoseconds + offset)),
      engine: StepEngine(state: state), progress: progress, replayedUpTo: disk.lastStep,
      now: now.seconds(since: .zero))
    self.coordinator = coordinator
    note("coordinator of term \(disk.term) begins after step \(progress.step) of \(disk.lastStep)")
    guard persist("the tiers", { _ in }) else { return }
    handle(.parametersChanged(coordinator.versions(of: coordinator.tiers)))
    if problem.usesWindows { handle(.windows(book(coordinator))) }
    for worker in workers where worker.plan.isLocal {
      agenda.add(.workerStart(place: worker.place), at: now + 0.05)
    }
    goOn()
  }

  private func settings() -> CoordinatorSettings {
    var settings = CoordinatorSettings(
      term: disk.term, tierParameterCounts: scenario.problem.scheduler.tiers.map(\.parameterCount),
      modelSHA256: Self.model, numericProfile: "toy", sessionSeed: random.next())
    settings.expectedLocalWorkers = workers.count { $0.plan.isLocal }
    settings.initialLeaseSeconds = scenario.initialLeaseSeconds
    settings.probeSHA256 = Self.rightProbe
    settings.maximumAttempts = scenario.maximumAttempts
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
    if restart { agenda.add(.coordinatorStart, at: now + scenario.restartSeconds) }
  }

  func killCoordinator(_ kind: FaultKind) {
    note("the coordinator is killed (\(kind.rawValue))")
    outcome.count(kind)
    endCoordinator(restart: true)
  }

  // MARK: - Where it may be killed

  /// A transaction with its fsync.
  ///
  /// - Returns: whether the coordinator lives on. If not, the write has been done or not done.
  func persist(_ name: String, _ write: (inout SimulatedDisk) -> Void) -> Bool {
    guard durably(name, write) else {
      killCoordinator(.coordinatorKilledAtPersist)
      return false
    }
    return true
  }

  private func durably(_ name: String, _ write: (inout SimulatedDisk) -> Void) -> Bool {
    persists += 1
    let isHere = persists == scenario.killAtPersistNumber
    if isHere || (isFaulty && coordinator != nil && random.chance(scenario.killsAtPersist)) {
      // Exactly half of the crashes that are asked for by number come before the write is on the disk.
      let isDone = isHere ? scenario.seed % 2 == 1 : random.chance(0.5)
      note("persist \(persists), \(name): killed, \(isDone ? "done" : "not done")")
      if isDone { write(&disk) }
      // Before there is a process to kill, its start simply fails.
      if coordinator == nil { agenda.add(.coordinatorStart, at: now + scenario.restartSeconds) }
      return false
    }
    write(&disk)
    return true
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
    let envelope = route.conversation.envelope(of: message.type, term: coordinator.term, session: session)
    do {
      let frames = try EncodedMessage(message, envelope: envelope).frames
      guard transmit(frames, over: id, .down) else {
        return coordinator.unreachable.append((peer, "connection \(peer) is congested"))
      }
      routes[id]?.conversation.hasSent()
    } catch {
      problem("the coordinator cannot send \(message.type.name): \(error)")
    }
  }
}

extension SimulatedCoordinator {
  func versions(of tiers: [TierValues]) -> [Int: TierVersion] {
    Dictionary(
      uniqueKeysWithValues: tiers.map { ($0.tier, TierVersion(version: $0.version, digest: $0.digest)) })
  }
}
