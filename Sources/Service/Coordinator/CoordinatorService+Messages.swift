import Coordination
import Dispatch
import Foundation
import Ledger
import NestedLearning
import Protocol
import Transport

// MARK: - Waiting

extension CoordinatorService {
  /// Has a unit computed by the workers; nil if the user stopped the run during an evaluation, which is then made
  /// when the run goes on.
  func compute(_ unit: WorkUnit) throws -> CompletedUnit? {
    completed = nil
    unitInHand = unit
    try handle(.open(unit))
    while completed == nil {
      if stopRequested && unit.purpose == .evaluate { return nil }
      try recordNotes()
      try serve()
    }
    return completed
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
    // Half a second bounds every wait, whatever the timer says.
    for (peer, received) in try router.poll(timeout: max(0, min(0.5, min(timer, end).seconds(since: now)))) {
      try receive(peer, received)
    }
    for (peer, envelope, result) in refusedOffers {
      try handle(.result(peer: peer, session: envelope.session, term: envelope.term, result))
    }
    refusedOffers = []
    watchAllowList(now)
    let (refusals, count) = router.takeRefusals()
    if let line = refusalLog.line(refusals, count: count, now: now) { logger.warning("\(line)") }
    for letter in mailbox.take() { try read(letter) }
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
    guard now.seconds(since: lastLooked) > 0.5 else { return }
    lastLooked = now
    let status = core.status
    // A pause is told of at once, as the start of a run is not.
    let isNew = status.run == .paused && status.since > lastSaid
    guard status.run == .paused || status.run == .gathering, isNew || now.seconds(since: lastSaid) > 10 else {
      return
    }
    lastSaid = now
    let keys = options.security.map { " --key FILE --server-key '\($0.secretKey.publicKey)'" } ?? ""
    let remedy = options.listen.map { "; workers join with nl-worker --connect \($0)\(keys)" } ?? ""
    logger.notice("waiting: \(status.reason)\(remedy)")
  }

  private func read(_ letter: Letter) throws {
    switch letter {
    case .workDone: break
    case .allowList(let news): take(news)
    case .forWorker(let peer, let session, let message):
      if core.isMember(peer, session: session) { send(message, to: peer, session: session) }
    case .signal:
      // A second Ctrl-C means now: everything on disk is whole at any moment.
      if stopRequested {
        localWorkers.stop()
        throw ServiceError("stopped at once", remedy: "the run can be resumed from its last snapshot")
      }
      stopRequested = true
      logger.notice("stopping when this step is done; press Ctrl-C again to stop at once")
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

// MARK: - Messages in

extension CoordinatorService {
  /// Whether a result that is offered is worth sending. If not, the core is told of it all the same: its worker is
  /// free again, and it may disagree with what is known.
  func judge(_ peer: PeerID, _ envelope: Envelope, _ message: ResultMessage) -> ResultOutcome? {
    let result = ResultSummary(message)
    let outcome = core.verdict(on: result, peer: peer, session: envelope.session, term: envelope.term)
    if outcome != nil { refusedOffers.append((peer, envelope, result)) }
    return outcome
  }

  private func receive(_ peer: PeerID, _ received: Received) throws {
    switch received {
    case .failure(let error):
      if turnedAway.insert(peer) { logger.warning("a message of \(peer) was refused: \(error.reason)") }
      // Whoever it was is to know at once that this connection is of no more use, not when its patience is over.
      let code = error.kind == .version ? RejectCode.version : .unknownSession
      reject(peer, code, error.reason)
      try handle(.peerLost(peer: peer, reason: "\(error)"))
    case .success((let envelope, let message)):
      try receive(peer, envelope, message)
    }
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
      askers.remove(peer)
      // A worker that has come with a key is not one that this program has started, whatever it says.
      if peer.hasKey { hello.localIndex = nil }
      greetings[peer] = hello
      defer { greetings[peer] = nil }
      try handle(.hello(peer: peer, hello, key: router.key(of: peer), term: envelope.term))
    case .ready(let ready): try handle(.ready(peer: peer, session: session, ready))
    case .result(let result):
      incoming = result
      defer { incoming = nil }
      try handle(.result(peer: peer, session: session, term: envelope.term, ResultSummary(result)))
    case .error(let error):
      try handle(.workerError(peer: peer, session: session, attempt: error.attempt, reason: error.reason))
    case .goodbye, .drained: try handle(.goodbye(peer: peer, session: session))
    case .ping:
      try handle(.heard(peer: peer, session: session))
      send(.pong, to: peer, session: session)
    case .status:
      send(.statusReply(StatusReply(status: statusJSON)), to: peer, session: .none)
      // Whoever asks is no worker, unless it has joined, and need not say when it has gone.
      if !core.status.workers.contains(where: { $0.peer == peer }), let old = askers.push(peer) {
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

// MARK: - Effects

extension CoordinatorService {
  /// Hands an event to the core, and does what it says, in its order.
  func handle(_ event: CoordinatorEvent) throws {
    for effect in core.step(event, now: MonotonicClock.now()) { try carryOut(effect) }
  }

  private func carryOut(_ effect: CoordinatorEffect) throws {
    switch effect {
    case .keepPayload(let attempt): keepPayload(attempt)
    case .discardPayload(let attempt): payloads[attempt] = nil
    case .record(let record): records.append(record)
    case .welcome(let peer, let session, let workerID): welcome(peer, session, workerID)
    case .reject(let peer, let code, let reason):
      // One that is told so of everything that was under way is named once.
      if turnedAway.insert(peer) { logger.warning("a worker was turned away: \(reason)") }
      reject(peer, code, reason)
    case .sendParameters(let peer, let session, let tier, let version):
      sendParameters(peer, session, tier: tier, version: version)
    case .sendWindow(let peer, let session, let keys, let through):
      sendWindow(peer, session, keys, through: through)
    case .assign(let peer, let session, let assignment):
      send(.assign(message(assignment)), to: peer, session: session)
    case .acknowledge(let peer, let session, let attempt, let outcome):
      send(.resultAck(ResultAck(attempt: attempt, outcome: outcome)), to: peer, session: session)
    case .probe(let peer, let session):
      send(.probe(Probe(seed: plan.config.seed)), to: peer, session: session)
    case .cancel(let peer, let session, let attempt):
      send(.cancel(Cancel(attempt: attempt)), to: peer, session: session)
    case .quarantine(let workerID, let identity, let reason):
      quarantine(workerID: workerID, identity: identity, reason: reason)
    case .sendDrain(let peer, let session): send(.drain, to: peer, session: session)
    case .workerReady(let workerID): note("\(describe(workerID)) is ready", of: workerID)
    case .workerLeft(let workerID, let peer, let localIndex, let reason):
      workerLeft(workerID, peer, localIndex, reason)
    case .log(let line): logger.info("\(line)")
    case .unitComplete(let unit): completed = unit
    case .drained: drained = true
    case .fail(let reason):
      throw ServiceError(reason, remedy: "nl-coord resume \(plan.outputFolder) goes on from here")
    case .armTimer(let time): timer = time
    }
  }

  private func keepPayload(_ attempt: Int) {
    payloads[attempt] = incoming
    if let incoming, let unit = unitInHand {
      traffic.count(incoming, of: unit, clock: WindowClock(plan.scheduler.tiers))
    }
  }

  private func welcome(_ peer: PeerID, _ session: SessionID, _ workerID: Int) {
    guard let hello = greetings[peer] else { return }
    members[workerID] = hello
    if let index = hello.localIndex { localPeers[index] = peer }
    notes.append(
      .joined(
        WorkerRecord(
          term: run.term, id: workerID, identity: router.key(of: peer), host: hello.host,
          pid: hello.processID, threads: hello.threads,
          isa: hello.isa,
          numericProfile: hello.numericProfile, program: hello.program, isLocal: hello.localIndex != nil)))
    let message = Welcome(
      workerID: workerID, modelPath: plan.folder.path, modelSHA256: plan.inputs.model,
      trainable: plan.trainableJSON,
      tiers: plan.layout.tiers, heartbeatSeconds: core.settings.heartbeatSeconds)
    send(.welcome(message), to: peer, session: session)
  }

  /// Workers of other machines come and go by others' hands, so that is said; local ones are this program's own affair.
  private func note(_ text: String, of workerID: Int) {
    let isLocal = members[workerID]?.localIndex != nil
    logger.log(level: isLocal ? .info : .notice, "\(text)")
  }

  private func describe(_ workerID: Int) -> String {
    guard let hello = members[workerID] else { return "worker \(workerID)" }
    return
      "worker \(workerID) (\(hello.host), process \(hello.processID), \(hello.threads) thread\(hello.threads == 1 ? "" : "s"))"
  }

  private func reject(_ peer: PeerID, _ code: RejectCode, _ reason: String) {
    try? router.send(.reject(Reject(code: code, reason: reason)), to: peer, term: run.term, session: .none)
    router.forget(peer)
  }

  private func workerLeft(_ workerID: Int, _ peer: PeerID, _ localIndex: Int?, _ reason: String) {
    note("\(describe(workerID)) left: \(reason)", of: workerID)
    router.forget(peer)
    shelf.forget(peer)
    notes.append(.left(id: workerID, reason: reason, at: .now()))
    guard let localIndex, localPeers[localIndex] == peer else { return }
    // A process of ours that was given up is ended, and started again when its end is reported.
    localPeers[localIndex] = nil
    localWorkers.end(localIndex)
  }

  private func sendParameters(_ peer: PeerID, _ session: SessionID, tier: Int, version: Int) {
    guard tiers.indices.contains(tier) else { return }
    let isNewest = tiers[tier].version == version
    guard let current = isNewest ? tiers[tier] : archive.values(tier: tier, version: version) else { return }
    traffic.tiers[tier].parametersDown += current.values.byteCount
    send(
      .parameters(
        ParametersMessage(tier: tier, version: version, digest: current.digest, values: current.values)),
      to: peer, session: session)
  }

  private func message(_ assignment: Assignment) -> AssignMessage {
    let unit = assignment.unit
    let node = assignment.shard.node
    let usesDropout = unit.purpose != .evaluate && plan.usesDropout
    return AssignMessage(
      attempt: assignment.attempt, purpose: unit.purpose, step: unit.step, leafCount: unit.leafCount,
      level: node.level, index: node.index, tiers: assignment.shard.tiers, window: unit.window,
      digestOnly: assignment.digestOnly,
      stepTokens: max(1, unitTokens), windows: assignment.windows, parameterVersions: assignment.versions,
      dropoutSeed: usesDropout ? plan.config.seed : nil,
      microBatches: unit.purpose == .collect
        ? []
        : node.leaves(count: unit.leafCount).map { g in
          AssignedMicroBatch(
            number: g, tokens: batches[g].tokens, offsets: batches[g].offsets, labels: batches[g].labels)
        })
  }

  /// A worker that cannot be reached is found by its silence; nothing is lost, as its shards are handed out again.
  func send(_ message: Message, to peer: PeerID, session: SessionID) {
    options.failpoints.die(at: .exitSend)
    do {
      try router.send(message, to: peer, term: run.term, session: session)
    } catch {
      logger.debug("\(message.type.name) could not be sent to \(peer): \(error)")
      unreachable.append((peer, error.description))
    }
  }

  /// What the workers sent for a unit, each (node, tiers) once.
  func takePayloads(of unit: CompletedUnit) -> [(shard: Shard, message: ResultMessage)] {
    defer { payloads = [:] }
    return unit.results.compactMap { result in payloads[result.attempt].map { (result.shard, $0) } }
  }

  /// Finished hand-outs since the last commit, for the ledger.
  func takeRecords() -> [Ledger.AssignmentRecord] {
    defer { (records, audited) = ([], []) }
    return records.map { record in
      Ledger.AssignmentRecord(
        term: run.term, attempt: record.attempt, purpose: record.purpose.rawValue, step: record.step,
        firstMicroBatch: record.firstMicroBatch, lastMicroBatch: record.lastMicroBatch, tiers: record.tiers,
        worker: record.workerID, handedOutAt: MonotonicClock.timestamp(of: record.handedOut),
        finishedAt: MonotonicClock.timestamp(of: record.finished), seconds: record.seconds,
        outcome: record.outcome.rawValue, verified: record.verified || audited.contains(record.attempt))
    }
  }

  /// Tells the workers that nothing more will come, and waits until they have gone, for a bounded time.
  func sendWorkersAway() throws {
    localWorkers.expectEnds()
    try handle(.drain)
    while !drained { try serve() }
  }
}
