import Coordination
import NestedLearning
import Training
import Transport
import WireProtocol

/// What the fleet wants done.
extension FleetService {
  /// Hands an event to the fleet, and does what it says, in its order.
  func handle(_ event: FleetEvent, incoming: ResultMessage? = nil) throws {
    told.append(.fleet(event, incoming: incoming))
    try tellAll()
  }

  /// Hands an event to a run, and does what it says, in its order. One that is over hears of nothing.
  func tell(_ run: RunNumber, _ event: RunEvent) throws {
    told.append(.run(run, event))
    try tellAll()
  }

  /// The cores are told of one thing at a time; what follows from that is told afterwards.
  private func tellAll() throws {
    guard !isTelling else { return }
    isTelling = true
    defer { isTelling = false }
    while !told.isEmpty {
      switch told.removeFirst() {
      case .fleet(let event, let incoming):
        for effect in fleet.step(event, now: MonotonicClock.now()) { try carryOut(effect, incoming) }
      case .run(let run, let event): try drivers[run]?.take(event)
      }
    }
  }

  private func carryOut(_ effect: FleetEffect, _ incoming: ResultMessage?) throws {
    switch effect {
    case .work(_, .reject(let peer, let code, let reason)): turnAway(peer, code, reason)
    case .work(let run, .acknowledge(let peer, let session, let attempt, let outcome)):
      // Also of a run that is over, or that the worker has left.
      let ack = ResultAck(attempt: attempt, outcome: outcome)
      let term = drivers[run]?.store.term ?? 0
      send(.resultAck(ack), to: peer, of: RunTerm(run, term: term), session: session)
    case .work(let run, let effect): try drivers[run]?.carryOut(effect, incoming)
    case .welcome(let peer, let session, let memberID, let hello):
      if let index = hello.localIndex { localPeers[index] = peer }
      let welcome = Welcome(workerID: memberID, heartbeatSeconds: fleet.settings.heartbeatSeconds)
      send(.welcome(welcome), to: peer, of: .none, session: session)
    case .reject(let peer, let code, let reason): turnAway(peer, code, reason)
    case .leaveRun(let peer, let session, let run):
      drivers[run]?.modelFiles.forget(peer)
      send(.leaveRun, to: peer, of: RunTerm(run, term: drivers[run]?.store.term ?? 0), session: session)
    case .sendDrain(let peer, let session): send(.drain, to: peer, of: .none, session: session)
    case .memberLeft(_, let peer, let localIndex, _): memberLeft(peer, localIndex)
    case .log(let line): logger.info("\(line)")
    case .closed: isClosed = true
    case .armTimer(let time): fleetTimer = time
    }
  }

  private func turnAway(_ peer: PeerID, _ code: RejectCode, _ reason: String) {
    // One that is told so of everything that was under way is named once.
    if rejectedPeers.insert(peer) { logger.warning("a worker was turned away: \(reason)") }
    reject(peer, code, reason)
  }

  private func memberLeft(_ peer: PeerID, _ localIndex: Int?) {
    router.forget(peer)
    movements.forget(peer)
    for driver in drivers.values { driver.modelFiles.forget(peer) }
    guard let localIndex, localPeers[localIndex] == peer else { return }
    // A process of ours that was given up is ended, and started again when its end is reported.
    localPeers[localIndex] = nil
    localWorkers.end(localIndex)
  }

  // MARK: - Sending

  func reject(_ peer: PeerID, _ code: RejectCode, _ reason: String) {
    try? router.send(.reject(Reject(code: code, reason: reason)), to: peer, of: .none, session: .none)
    router.forget(peer)
  }

  func decide(_ peer: PeerID, _ attempt: Int, of work: RunTerm, _ verdict: OfferVerdict) {
    do { try router.decide(peer, attempt: attempt, of: work, verdict) } catch {
      logger.debug("\(peer) could not be told of its result: \(error)")
      unreachable.append((peer, error.description))
    }
  }

  /// A worker that cannot be reached is found by its silence; nothing is lost, as its shards are handed out again.
  func send(_ message: Message, to peer: PeerID, of work: RunTerm, session: SessionID) {
    options.failpoints.die(at: .exitSend)
    do {
      try router.send(message, to: peer, of: work, session: session)
    } catch {
      logger.debug("\(message.type.name) could not be sent to \(peer): \(error)")
      unreachable.append((peer, error.description))
    }
  }
}
