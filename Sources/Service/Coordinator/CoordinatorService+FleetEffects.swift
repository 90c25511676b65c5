import Coordination
import Foundation
import NestedLearning
import Training
import Transport
import WireProtocol

/// What the fleet wants done.
extension CoordinatorService {
  /// Hands an event to the fleet, and does what it says, in its order.
  func handle(_ event: CoordinatorEvent, hello: Hello? = nil, incoming: ResultMessage? = nil) throws {
    for effect in fleet.step(event, now: MonotonicClock.now()) {
      try carryOut(effect, hello: hello, incoming: incoming)
    }
  }

  private func carryOut(_ effect: CoordinatorEffect, hello: Hello?, incoming: ResultMessage?) throws {
    switch effect {
    case .keepPayload(let attempt, let shard, let unit):
      guard let incoming else { break }
      payloads[attempt] = unit.isSummedAsItComes ? incoming.withoutBytes : incoming
      guard unit.isSummedAsItComes else { break }
      compute {
        try $0.collect(incoming, of: shard, in: unit)
        return nil
      }
    case .discardPayload(let attempt):
      payloads[attempt] = nil
      compute {
        try $0.discard(attempt)
        return nil
      }
    case .credit(let peer, _, let attempt): decide(peer, attempt, .take)
    case .refuse(let peer, _, let attempt, let outcome): decide(peer, attempt, .refuse(outcome))
    case .record(let record):
      count(record)
      try tell(.attemptEnded(record))
    case .welcome(let peer, let session, let workerID): try welcome(peer, session, workerID, hello)
    case .reject(let peer, let code, let reason):
      // One that is told so of everything that was under way is named once.
      if rejectedPeers.insert(peer) { logger.warning("a worker was turned away: \(reason)") }
      reject(peer, code, reason)
    case .sendParameters(let peer, let session, let tier, let version):
      try sendParameters(peer, session, tier: tier, version: version)
    case .sendWindow(let peer, let session, let keys, let through):
      try sendWindow(peer, session, keys, through: through)
    case .assign(let peer, let session, let assignment):
      progressLine.begin(now: MonotonicClock.now().seconds(since: .zero))
      send(.assign(run.message(of: assignment)), to: peer, session: session)
    case .acknowledge(let peer, let session, let attempt, let outcome):
      send(.resultAck(ResultAck(attempt: attempt, outcome: outcome)), to: peer, session: session)
    case .probe(let peer, let session):
      send(.probe(Probe(seed: plan.config.seed)), to: peer, session: session)
    case .cancel(let peer, let session, let attempt):
      send(.cancel(Cancel(attempt: attempt)), to: peer, session: session)
    case .quarantine(let workerID, let identity, let reason):
      // Another process on this machine would compute alike.
      if let index = members[workerID]?.localIndex { localWorkers.retire(index) }
      try tell(.quarantined(workerID: workerID, identity: identity, reason: reason))
    case .sendDrain(let peer, let session): send(.drain, to: peer, session: session)
    case .workerReady(let workerID): note("\(describe(workerID)) is ready", of: workerID)
    case .workerLeft(let workerID, let peer, let localIndex, let reason):
      try workerLeft(workerID, peer, localIndex, reason)
    case .log(let line): logger.info("\(line)")
    case .unitComplete(let unit): try tell(.unitComplete(unit, takePayloads(of: unit)))
    case .unitLeft(let unit): try tell(.unitLeft(unit))
    case .windowsComplete(let oldestStep): try tell(.windowsComplete(oldestStep: oldestStep))
    case .windowsLost: try tell(.windowsLost)
    case .drained: try tell(.drained)
    case .fail(let reason): try tell(.unitFailed(reason: reason))
    case .armTimer(let time): fleetTimer = time
    }
  }

  /// What the workers sent for a unit, each (node, tiers) once.
  private func takePayloads(of unit: CompletedUnit) -> [UnitResult] {
    defer { payloads = [:] }
    return unit.results.compactMap { counted in payloads[counted.attempt].map { UnitResult(counted, $0) } }
  }

  // MARK: - Workers that come and go

  private func welcome(_ peer: PeerID, _ session: SessionID, _ workerID: Int, _ hello: Hello?) throws {
    guard let hello else { return }
    members[workerID] = hello
    if let index = hello.localIndex { localPeers[index] = peer }
    try tell(
      .worker(.joined(workerID: workerID, hello, key: router.key(of: peer), at: MonotonicClock.now())))
    let message = Welcome(
      workerID: workerID, modelPath: plan.folder.path, modelSHA256: plan.inputs.model,
      trainable: plan.trainableJSON,
      tiers: plan.layout.tiers, heartbeatSeconds: fleet.settings.heartbeatSeconds,
      // A worker that has but one is not asked to choose.
      numericProfile: hello.numericProfiles.count > 1 ? fleet.settings.numericProfile : nil,
      recomputesLayers: plan.config.activationCheckpointing == .layer, run: fleet.settings.run)
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

  private func workerLeft(_ workerID: Int, _ peer: PeerID, _ localIndex: Int?, _ reason: String) throws {
    note("\(describe(workerID)) left: \(reason)", of: workerID)
    members[workerID] = nil
    router.forget(peer)
    modelFiles.forget(peer)
    try tell(.worker(.left(workerID: workerID, reason: reason, at: MonotonicClock.now())))
    guard let localIndex, localPeers[localIndex] == peer else { return }
    // A process of ours that was given up is ended, and started again when its end is reported.
    localPeers[localIndex] = nil
    localWorkers.end(localIndex)
  }

  // MARK: - Sending

  func reject(_ peer: PeerID, _ code: RejectCode, _ reason: String) {
    try? router.send(
      .reject(Reject(code: code, reason: reason)), to: peer, term: store.term, session: .none)
    router.forget(peer)
  }

  private func sendParameters(_ peer: PeerID, _ session: SessionID, tier: Int, version: Int) throws {
    guard let message = run.parameters(tier: tier, version: version) else { return }
    send(.parameters(message), to: peer, session: session)
    try tell(.sent(SentBytes(.parameters, tier: tier, count: message.values.byteCount)))
  }

  /// Partial sums that a worker goes on from. The engine is at rest while a unit is open.
  private func sendWindow(_ peer: PeerID, _ session: SessionID, _ keys: [WindowKey], through step: Int) throws
  {
    guard let message = engine?.windowMessage(keys, through: step) else { return }
    send(.window(message), to: peer, session: session)
    for chain in message.chains {
      try tell(.sent(SentBytes(.partialSums, tier: chain.tier, count: chain.values.byteCount)))
    }
  }

  private func decide(_ peer: PeerID, _ attempt: Int, _ verdict: OfferVerdict) {
    do { try router.decide(peer, attempt: attempt, verdict) } catch {
      logger.debug("\(peer) could not be told of its result: \(error)")
      unreachable.append((peer, error.description))
    }
  }

  /// A worker that cannot be reached is found by its silence; nothing is lost, as its shards are handed out again.
  func send(_ message: Message, to peer: PeerID, session: SessionID) {
    options.failpoints.die(at: .exitSend)
    do {
      try router.send(message, to: peer, term: store.term, session: session)
    } catch {
      logger.debug("\(message.type.name) could not be sent to \(peer): \(error)")
      unreachable.append((peer, error.description))
    }
  }
}
