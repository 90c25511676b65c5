import Coordination
import Foundation
import Training
import Transport
import WireProtocol

/// One turn of the main loop after the other.
extension FleetService {
  /// What came from workers, from other threads, and of the timers.
  func turn() throws {
    let now = MonotonicClock.now()
    for driver in drivers.values { driver.sayWhatIsWaitedFor(now) }
    publishTelemetry(now)
    tellBoard(now)
    // Half a second bounds every wait, whatever the timers say.
    let next = min(
      fleetTimer, connectionChecks.next, drivers.values.map(\.runTimer).min() ?? .never)
    let timeout = unreadMessages.since == nil ? max(0, min(0.5, next.seconds(since: now))) : 0
    // The first is at the end, and nothing is held once it has been taken: a gradient is to go as soon as it is added up.
    var received = Array(try router.poll(timeout: timeout).reversed())
    let hasReadAll = received.count < router.messagesPerPoll
    while let (peer, message) = received.popLast() { try receive(peer, message) }
    try tellOfOffers()
    watchAllowList(now)
    watchConnections(MonotonicClock.now())
    try hearOfMovements(MonotonicClock.now())
    let (refusals, count) = router.takeRefusals()
    if let line = refusalLog.line(refusals, count: count, now: now) { logger.warning("\(line)") }
    for event in mailbox.take() { try take(event) }
    try tellOfUnreachable()
    try judgeTimers(hasReadAll: hasReadAll)
  }

  private func judgeTimers(hasReadAll: Bool) throws {
    let now = MonotonicClock.now()
    guard unreadMessages.letTimersBeJudged(hasReadAll: hasReadAll, now: now) else { return }
    if now >= fleetTimer {
      fleetTimer = .never
      try handle(.timer)
    }
    for run in drivers.keys.sorted() {
      guard let driver = drivers[run], now >= driver.runTimer else { continue }
      driver.runTimer = .never
      try tell(run, .timer)
    }
  }

  private func take(_ event: DriverEvent) throws {
    switch event {
    case .run(let run, let event): try tell(run, event)
    case .added(let run, let attempt): try handle(.requested(run, .added(attempt: attempt)))
    case .restored(let run, let engine, let restored):
      drivers[run]?.engine = engine
      try tell(run, .restored(restored))
    case .prepared(let run, .success(let prepared)): try begin(run, prepared)
    case .prepared(let run, .failure(let error)): try cannotBegin(run, error)
    case .allowList(let news): take(news)
    case .forWorker(let run, let peer, let session, let message):
      guard fleet.run(of: peer) == run, fleet.isMember(peer, session: session) else { break }
      drivers[run]?.send(message, to: peer, session: session)
    case .signal(let number): try stop(number)
    case .request(let request): try request(self)
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
      let report = isRefused ? WorkerReport.result(result) : .offered(result)
      try handle(.reported(peer: peer, session: envelope.session, work: envelope.work, report))
    }
  }

  /// Not while an effect is carried out: the fleet is told of one thing at a time.
  private func tellOfUnreachable() throws {
    let lost = unreachable
    unreachable = []
    for (peer, reason) in lost { try handle(.peerLost(peer: peer, reason: reason)) }
  }

  /// What helps where there are no workers.
  var howToJoin: String {
    let keys = options.security.map { " --key FILE --server-key '\($0.secretKey.publicKey)'" } ?? ""
    return options.listen.map {
      "; workers join with nl-worker --connect \(TCPAddress.reachable($0))\(keys)"
    } ?? ""
  }
}
