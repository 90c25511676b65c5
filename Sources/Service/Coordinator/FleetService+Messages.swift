import Coordination
import Transport
import WireProtocol

/// What peers say.
extension FleetService {
  /// Whether a result that is offered is worth sending. If not, the core is told of it all the same: its worker is
  /// free again, and it may disagree with what is known.
  func judge(_ peer: PeerID, _ envelope: Envelope, _ message: ResultMessage) -> OfferVerdict {
    let result = ResultSummary(message)
    let outcome = fleet.verdict(on: result, peer: peer, session: envelope.session, work: envelope.work)
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
    let who = fleet.hello(of: peer).map { "\($0.host), process \($0.processID)" } ?? "somebody unknown"
    guard error.kind == .sequence else {
      return logger.warning("a message of \(who) was refused: \(error.reason)")
    }
    logger.notice("messages of \(who) were lost on the way (\(error.reason)); it joins again")
  }

  private func receive(_ peer: PeerID, _ envelope: Envelope, _ message: Message) throws {
    let session = envelope.session
    if case .transfer = message, fleet.isMember(peer, session: session),
      !movements.isNews(of: peer, work: envelope.work, now: MonotonicClock.now())
    {
      return
    }
    if let report = WorkerReport(message) {
      let incoming: ResultMessage? = if case .result(let result) = message { result } else { nil }
      if let bytes = incoming?.residentBytes, fleet.isMember(peer, session: session) {
        drivers[envelope.work.run]?.memory.says(peer, bytes)
      }
      try handle(
        .reported(peer: peer, session: session, work: envelope.work, report), incoming: incoming)
      // LEASE_RENEW stands for a PING too.
      if case .leaseRenew = message { send(.pong, to: peer, of: .none, session: session) }
      return
    }
    switch message {
    case .hello(let hello): try greet(hello, peer)
    case .goodbye, .drained: try handle(.goodbye(peer: peer, session: session))
    case .ping:
      try handle(.heard(peer: peer, session: session))
      send(.pong, to: peer, of: .none, session: session)
    case .pong: try handle(.heard(peer: peer, session: session))
    case .status(let request): answerStatus(of: request.folder, to: peer)
    case .control(let control): try obey(control, of: peer)
    case .model(let message): try serveModel(message, envelope, to: peer)
    default:
      try handle(.peerLost(peer: peer, reason: "sent \(message.type.name), which only a coordinator does"))
    }
  }

  private func greet(_ hello: Hello, _ peer: PeerID) throws {
    statusClients.remove(peer)
    try handle(.hello(peer: peer, localWorkers.vouched(hello), key: router.key(of: peer)))
  }

  // MARK: - Those who watch

  private func answerStatus(of folder: String?, to peer: PeerID) {
    let status = statusCache.answer(to: peer, about: folder, now: MonotonicClock.now()) {
      statusJSON(of: folder)
    }
    if let status { send(.statusReply(StatusReply(status: status)), to: peer, of: .none, session: .none) }
    // Whoever asks is no worker, unless it has joined, and need not say when it has gone.
    if !fleet.isWorker(peer), let old = statusClients.push(peer) { router.forget(old) }
  }

  /// Whoever can read the run's folder may say what is done with it.
  private func obey(_ control: Control, of peer: PeerID) throws {
    let driver = drivers.values.first { $0.folderName == control.folder }
    guard control.token == token, let driver else {
      let reason =
        control.token == token
        ? "this coordinator is not at a run in \(control.folder)" : "the token is not its own"
      return send(
        .error(ErrorMessage(code: .message, reason: reason)), to: peer, of: .none, session: .none)
    }
    logger.notice("\(driver.plan.config.experimentName): told to \(control.command.rawValue)")
    switch control.command {
    case .pause: try tell(driver.number, .pause)
    case .resume: try tell(driver.number, .resume)
    }
    answerStatus(of: control.folder, to: peer)
  }

  /// A worker asks for the model's files; they are read elsewhere, and sent as they come.
  private func serveModel(_ message: ModelMessage, _ envelope: Envelope, to peer: PeerID) throws {
    guard case .credit(let credit) = message else {
      return try handle(
        .peerLost(peer: peer, reason: "sent \(message.type.name), which only a coordinator does"))
    }
    let driver = drivers[envelope.work.run]
    let state = ModelFetchState(receivedBytes: credit.receivedBytes, totalBytes: driver?.modelBytes)
    try handle(
      .reported(peer: peer, session: envelope.session, work: envelope.work, .fetched(state)))
    guard let driver, fleet.isMember(peer, session: envelope.session), fleet.run(of: peer) == driver.number
    else {
      return
    }
    if !driver.modelFiles.ask(credit, peer: peer, session: envelope.session) {
      try handle(.peerLost(peer: peer, reason: "asked for more of the base model at once than it may"))
    }
  }
}
