import Coordination
import Transport
import WireProtocol

/// What peers say.
extension CoordinatorService {
  /// Whether a result that is offered is worth sending. If not, the core is told of it all the same: its worker is
  /// free again, and it may disagree with what is known.
  func judge(_ peer: PeerID, _ envelope: Envelope, _ message: ResultMessage) -> OfferVerdict {
    let result = ResultSummary(message)
    let outcome = fleet.verdict(on: result, peer: peer, session: envelope.session, term: envelope.term)
    offers.append((peer, envelope, result, isRefused: outcome != nil))
    return outcome.map { .refuse($0) } ?? .hold
  }

  func receive(_ peer: PeerID, _ received: Received) throws {
    switch received {
    case .failure(let error):
      if rejectedPeers.insert(peer) { tellOfRefusal(peer, error) }
      // Whoever it was is to know at once that this connection is of no more use, not when its patience is over.
      let code = error.kind == .version ? RejectCode.version : .unknownSession
      reject(peer, code, error.reason)
      try handle(.peerLost(peer: peer, reason: "\(error)"))
    case .success((let envelope, let message)):
      try receive(peer, envelope, message)
    }
  }

  /// A gap is what a connection has that was cut off, or whose worker stood still; it heals by itself.
  private func tellOfRefusal(_ peer: PeerID, _ error: ProtocolError) {
    let worker = fleet.status.workers.first { $0.peer == peer }
    let who = worker.map { "\($0.host), process \($0.processID)" } ?? "somebody unknown"
    guard error.kind == .sequence else {
      return logger.warning("a message of \(who) was refused: \(error.reason)")
    }
    logger.notice("messages of \(who) were lost on the way (\(error.reason)); it joins again")
  }

  /// What a worker says of an attempt before its result.
  private func receiveOfAttempt(_ peer: PeerID, _ session: SessionID, _ message: Message) throws {
    switch message {
    case .accept(let accept):
      try handle(.accepted(peer: peer, session: session, attempt: accept.attempt))
    case .decline(let decline):
      try handle(
        .declined(peer: peer, session: session, attempt: decline.attempt, reason: decline.reason))
    case .leaseRenew(let renew):
      try handle(
        .renewed(peer: peer, session: session, attempt: renew.attempt, progress: renew.progress))
      // It stands for a PING too.
      send(.pong, to: peer, session: session)
    case .cancelled(let cancelled):
      try handle(.cancelled(peer: peer, session: session, attempt: cancelled.attempt))
    default: break
    }
  }

  private func receive(_ peer: PeerID, _ envelope: Envelope, _ message: Message) throws {
    let session = envelope.session
    switch message {
    case .hello(var hello):
      statusClients.remove(peer)
      // A worker is one that this program has started if it knows the secret that it was given, whatever it says.
      if !localWorkers.vouches(for: hello) { hello.localIndex = nil }
      hello.localSecret = nil
      let event = CoordinatorEvent.hello(
        peer: peer, hello, key: router.key(of: peer), term: envelope.term)
      try handle(event, hello: hello)
    case .ready(let ready): try handle(.ready(peer: peer, session: session, ready))
    case .result(let result):
      let event = CoordinatorEvent.result(
        peer: peer, session: session, term: envelope.term, ResultSummary(result))
      try handle(event, incoming: result)
    case .error(let error):
      try handle(
        .workerError(
          peer: peer, session: session, attempt: error.attempt, reason: error.reason,
          isNotFinite: error.code == .notFinite))
    case .goodbye, .drained: try handle(.goodbye(peer: peer, session: session))
    case .ping:
      try handle(.heard(peer: peer, session: session))
      send(.pong, to: peer, session: session)
    case .status:
      if let status = statusCache.answer(to: peer, now: MonotonicClock.now(), make: { statusJSON }) {
        send(.statusReply(StatusReply(status: status)), to: peer, session: .none)
      }
      // Whoever asks is no worker, unless it has joined, and need not say when it has gone.
      if !fleet.isWorker(peer), let old = statusClients.push(peer) {
        router.forget(old)
      }
    case .pong: try handle(.heard(peer: peer, session: session))
    case .transfer: try handle(.moved(peer: peer, session: session, attempt: nil))
    case .model(let message): try serveModel(message, to: peer, session: session)
    case .probeResult(let result):
      try handle(.probed(peer: peer, session: session, sha256: result.sha256))
    case .accept, .decline, .leaseRenew, .cancelled: try receiveOfAttempt(peer, session, message)
    case .welcome, .reject, .probe, .parameters, .window, .assign, .cancel, .resultAck, .drain, .statusReply:
      try handle(.peerLost(peer: peer, reason: "sent \(message.type.name), which only a coordinator does"))
    }
  }
}
