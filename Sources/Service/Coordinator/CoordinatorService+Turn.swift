import Coordination
import Foundation
import Training
import Transport
import WireProtocol

/// One turn of the main loop after the other.
extension CoordinatorService {
  /// How long messages that wait may keep the timers from being judged.
  private static let mostBehindSeconds = 2.0

  /// What came from workers, from other threads, and of the timers.
  func turn() throws {
    let now = MonotonicClock.now()
    sayWhatIsWaitedFor(now)
    publishTelemetry(now)
    // Half a second bounds every wait, whatever the timers say.
    let next = min(fleetTimer, runTimer, connectionCheck?.next ?? .never)
    let timeout = behindSince == nil ? max(0, min(0.5, next.seconds(since: now))) : 0
    let received = try router.poll(timeout: timeout)
    for (peer, message) in received { try receive(peer, message) }
    try tellOfOffers()
    watchAllowList(now)
    watchConnections(MonotonicClock.now())
    let (refusals, count) = router.takeRefusals()
    if let line = refusalLog.line(refusals, count: count, now: now) { logger.warning("\(line)") }
    for event in mailbox.take() { try take(event) }
    try tellOfUnreachable()
    try judgeTimers(hasReadAll: received.count < router.messagesPerPoll)
  }

  /// Not while messages wait that have come before: after a stall of this process, or of the machine, workers whose
  /// signs of life are unread would be taken for silent.
  private func judgeTimers(hasReadAll: Bool) throws {
    let now = MonotonicClock.now()
    behindSince = hasReadAll ? nil : behindSince ?? now
    if let behindSince, now.seconds(since: behindSince) < Self.mostBehindSeconds { return }
    behindSince = hasReadAll ? nil : now
    if now >= fleetTimer {
      fleetTimer = .never
      try handle(.timer)
    }
    if now >= runTimer {
      runTimer = .never
      try tell(.timer)
    }
  }

  private func take(_ event: DriverEvent) throws {
    switch event {
    case .run(let event): try tell(event)
    case .restored(let engine, let run):
      self.engine = engine
      try tell(.restored(run))
    case .allowList(let news): take(news)
    case .forWorker(let peer, let session, let message):
      if fleet.isMember(peer, session: session) { send(message, to: peer, session: session) }
    case .signal(let number): try stop(number)
    case .childEnded(let exit):
      if let peer = localPeers.removeValue(forKey: exit.index) {
        try handle(.peerLost(peer: peer, reason: "its process ended with \(exit.reason)"))
      }
      try localWorkers.restart(after: exit)
    }
  }

  private func tellOfOffers() throws {
    let offers = offers
    self.offers = []
    for (peer, envelope, result, isRefused) in offers {
      let (session, term) = (envelope.session, envelope.term)
      try handle(
        isRefused
          ? .result(peer: peer, session: session, term: term, result)
          : .offered(peer: peer, session: session, term: term, result))
    }
  }

  /// Not while an effect is carried out: the fleet is told of one thing at a time.
  private func tellOfUnreachable() throws {
    let lost = unreachable
    unreachable = []
    for (peer, reason) in lost { try handle(.peerLost(peer: peer, reason: reason)) }
  }

  /// A wait that lasts is named, with its reason, now and then.
  private func sayWhatIsWaitedFor(_ now: Instant) {
    guard now.seconds(since: lastLooked) > 0.5, !stopRequested else { return }
    lastLooked = now
    let status = fleet.status
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
}
