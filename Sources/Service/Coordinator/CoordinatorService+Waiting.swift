import Coordination
import Dispatch
import Foundation
import WireProtocol

/// Waiting: for units, for work beside the socket, for what comes next.
extension CoordinatorService {
  /// When the grace is over, checkpoint and snapshot may still take so long.
  private static let writingSeconds = 10.0

  /// Has a unit computed by the workers; nil if the run was asked to stop and this unit is left for when it goes on: an
  /// evaluation, and whatever nobody is there to compute, or not in time.
  func compute(_ unit: WorkUnit) throws -> CompletedUnit? {
    completed = nil
    unitInHand = unit
    try handle(.open(unit))
    while completed == nil {
      if stopRequested && isLeft(unit) { return nil }
      try recordNotes()
      try serve()
    }
    return completed
  }

  private func isLeft(_ unit: WorkUnit) -> Bool {
    if unit.purpose == .evaluate { return true }
    // Whoever stops a whole cluster may have ended the workers first.
    guard unit.purpose == .train else { return false }
    let reason: String
    if !core.hasUsableWorkers {
      reason = "no worker is left"
    } else if MonotonicClock.now() >= stopDeadline {
      reason = "the \(Int(options.operations.graceSeconds)) s of --grace are over"
      windowsAreAhead = unit.window
    } else {
      return false
    }
    logger.notice("\(reason): \(unit) is computed when the run goes on")
    return true
  }

  /// Runs work beside the socket's thread, which goes on answering workers until it is done.
  func awaiting<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) throws -> Value {
    let result = ResultBox<Value>()
    let mailbox = mailbox
    queue.async {
      result.set(Result(catching: work))
      mailbox.post(.workDone)
    }
    while true {
      if let result = result.take() { return try result.get() }
      try serve()
    }
  }

  /// One turn: what came from workers, from other threads, and of the timer.
  func serve(until end: Instant = .never) throws {
    let now = MonotonicClock.now()
    sayWhatIsWaitedFor(now)
    showToOthers(now)
    guard now < stopDeadline + Self.writingSeconds else {
      throw stoppedAtOnce(
        "the run could not be written down within \(Int(Self.writingSeconds)) s after --grace")
    }
    // Half a second bounds every wait, whatever the timer says.
    let next = min(timer, end, connectionCheck?.next ?? .never, now < stopDeadline ? stopDeadline : .never)
    for (peer, received) in try router.poll(timeout: max(0, min(0.5, next.seconds(since: now)))) {
      try receive(peer, received)
    }
    for (peer, envelope, result) in refusedOffers {
      try handle(.result(peer: peer, session: envelope.session, term: envelope.term, result))
    }
    refusedOffers = []
    watchAllowList(now)
    watchConnections(MonotonicClock.now())
    let (refusals, count) = router.takeRefusals()
    if let line = refusalLog.line(refusals, count: count, now: now) { logger.warning("\(line)") }
    for event in mailbox.take() { try read(event) }
    // Not while an effect is carried out: the core is told of one thing at a time.
    let lost = unreachable
    unreachable = []
    for (peer, reason) in lost { try handle(.peerLost(peer: peer, reason: reason)) }
    if MonotonicClock.now() >= timer {
      timer = .never
      try handle(.timer)
    }
  }

  /// Puts down who came and went, for whoever looks at the ledger during a long step. It is not needed for anything, so
  /// a disk that does not take it is left to the next commit.
  private func recordNotes() throws {
    guard let due = notesDue else {
      notesDue = notes.isEmpty ? nil : MonotonicClock.now() + 1
      return
    }
    guard MonotonicClock.now() >= due else { return }
    notesDue = nil
    options.failpoints.die(at: .exitPersist)
    do {
      try run.ledger.record(assignments: [], notes: notes)
      notes = []
    } catch {
      guard DiskFault(error) != nil else { throw error }
    }
  }

  /// A wait that lasts is named, with its reason, now and then.
  private func sayWhatIsWaitedFor(_ now: Instant) {
    guard now.seconds(since: lastLooked) > 0.5, !stopRequested else { return }
    lastLooked = now
    let status = core.status
    // A pause is told of at once, as the start of a run is not.
    let isNew = status.run == .paused && status.since > lastSaid
    guard status.run == .paused || status.run == .gathering, isNew || now.seconds(since: lastSaid) > 10 else {
      return
    }
    lastSaid = now
    let keys = options.security.map { " --key FILE --server-key '\($0.secretKey.publicKey)'" } ?? ""
    let remedy =
      options.listen.map {
        "; workers join with nl-worker --connect \(TCPAddress.reachable($0))\(keys)"
      } ?? ""
    logger.notice("waiting: \(status.reason)\(remedy)")
  }

  private func stoppedAtOnce(_ reason: String) -> ServiceError {
    localWorkers.stop()
    return ServiceError(reason, remedy: "the run can be resumed from its last snapshot")
  }

  private func read(_ event: DriverEvent) throws {
    switch event {
    case .workDone: break
    case .allowList(let news): take(news)
    case .forWorker(let peer, let session, let message):
      if core.isMember(peer, session: session) { send(message, to: peer, session: session) }
    case .signal(let number):
      // A second Ctrl-C means now: everything on disk is whole at any moment.
      if stopRequested { throw stoppedAtOnce("stopped at once") }
      stopRequested = true
      guard number == SIGTERM else {
        logger.notice("stopping when this step is done; press Ctrl-C again to stop at once")
        break
      }
      stopDeadline = MonotonicClock.now() + options.operations.graceSeconds
      logger.notice(
        "asked to end: stopping when this step is done, within \(Int(options.operations.graceSeconds)) s (--grace)"
      )
    case .childEnded(let exit):
      if let peer = localPeers.removeValue(forKey: exit.index) {
        try handle(.peerLost(peer: peer, reason: "its process ended with \(exit.reason)"))
      }
      try localWorkers.restart(after: exit)
    }
  }
}

/// A result that one thread sets and another takes.
private final class ResultBox<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var result: Result<Value, any Error>?

  func set(_ result: Result<Value, any Error>) { lock.withLock { self.result = result } }
  func take() -> Result<Value, any Error>? { lock.withLock { result } }
}
