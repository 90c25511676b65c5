import Coordination
import Foundation
import Ledger
import NestedLearning
import Transport
import WireProtocol

/// What the core wants done.
extension CoordinatorService {
  /// Hands an event to the core, and does what it says, in its order.
  func handle(_ event: CoordinatorEvent) throws {
    for effect in core.step(event, now: MonotonicClock.now()) { try carryOut(effect) }
  }

  private func carryOut(_ effect: CoordinatorEffect) throws {
    switch effect {
    case .keepPayload(let attempt, let shard): keepPayload(attempt, of: shard)
    case .discardPayload(let attempt): payloads[attempt] = nil
    case .record(let record):
      records.append(record)
      count(record)
    case .welcome(let peer, let session, let workerID): welcome(peer, session, workerID)
    case .reject(let peer, let code, let reason):
      // One that is told so of everything that was under way is named once.
      if rejectedPeers.insert(peer) { logger.warning("a worker was turned away: \(reason)") }
      reject(peer, code, reason)
    case .sendParameters(let peer, let session, let tier, let version):
      sendParameters(peer, session, tier: tier, version: version)
    case .sendWindow(let peer, let session, let keys, let through):
      sendWindow(peer, session, keys, through: through)
    case .assign(let peer, let session, let assignment):
      progressLine.begin(now: Self.seconds())
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

  private func keepPayload(_ attempt: Int, of shard: Shard) {
    payloads[attempt] = incoming
    guard let incoming, let unit = unitInHand else { return }
    traffic.count(incoming, of: unit, clock: WindowClock(plan.scheduler.tiers))
    if unit.purpose == .train && !unit.window {
      queue.async { [engine] in engine.collect(incoming, of: shard, step: unit.step) }
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
          numericProfile: core.settings.numericProfile, program: hello.program,
          isLocal: hello.localIndex != nil)))
    let message = Welcome(
      workerID: workerID, modelPath: plan.folder.path, modelSHA256: plan.inputs.model,
      trainable: plan.trainableJSON,
      tiers: plan.layout.tiers, heartbeatSeconds: core.settings.heartbeatSeconds,
      // A worker that has but one is not asked to choose.
      numericProfile: hello.numericProfiles.count > 1 ? core.settings.numericProfile : nil,
      recomputesLayers: plan.config.activationCheckpointing == .layer, run: core.settings.run)
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

  func reject(_ peer: PeerID, _ code: RejectCode, _ reason: String) {
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
    let data = data(of: unit)
    return AssignMessage(
      attempt: assignment.attempt, purpose: unit.purpose, step: unit.step, leafCount: unit.leafCount,
      level: node.level, index: node.index, tiers: assignment.shard.tiers, window: unit.window,
      digestOnly: assignment.digestOnly,
      stepTokens: max(1, data.trainedTokens), windows: assignment.windows,
      parameterVersions: assignment.versions,
      dropoutSeed: usesDropout ? plan.config.seed : nil,
      microBatches: unit.purpose == .collect
        ? []
        : node.leaves(count: unit.leafCount).map { g in
          AssignedMicroBatch(
            number: g, tokens: data.microBatches[g].tokens, offsets: data.microBatches[g].offsets,
            labels: data.microBatches[g].labels)
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
  func takePayloads(of unit: CompletedUnit) -> [UnitResult] {
    defer { payloads = [:] }
    return unit.results.compactMap { counted in payloads[counted.attempt].map { UnitResult(counted, $0) } }
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
