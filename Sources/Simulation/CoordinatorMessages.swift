import Coordination
import Service
import Training
import WireProtocol

/// What CoordinatorService does around the core, message by message and effect by effect.
extension Simulation {
  func receive(_ message: Message, _ envelope: Envelope, from peer: PeerID) {
    let session = envelope.session
    switch message {
    case .hello(let hello):
      handle(.hello(peer: peer, hello, term: envelope.term), hello: hello)
    case .ready(let ready): handle(.ready(peer: peer, session: session, ready))
    case .result(let result):
      let event = CoordinatorEvent.result(
        peer: peer, session: session, term: envelope.term, ResultSummary(result))
      handle(event, incoming: result)
    case .error(let error):
      handle(
        .workerError(
          peer: peer, session: session, attempt: error.attempt, reason: error.reason,
          isNotFinite: error.code == .notFinite))
    case .goodbye, .drained: handle(.goodbye(peer: peer, session: session))
    case .ping:
      handle(.heard(peer: peer, session: session))
      _ = deliver(.pong, to: peer, session: session)
    case .accept(let accept): handle(.accepted(peer: peer, session: session, attempt: accept.attempt))
    case .decline(let decline):
      outcome.count("declined")
      handle(.declined(peer: peer, session: session, attempt: decline.attempt, reason: decline.reason))
    case .leaseRenew(let renew):
      handle(.renewed(peer: peer, session: session, attempt: renew.attempt, progress: renew.progress))
      _ = deliver(.pong, to: peer, session: session)
    case .cancelled(let cancelled):
      handle(.cancelled(peer: peer, session: session, attempt: cancelled.attempt))
    case .pong, .model: handle(.heard(peer: peer, session: session))
    case .transfer: handle(.moved(peer: peer, session: session, attempt: nil))
    case .probeResult(let result): handle(.probed(peer: peer, session: session, sha256: result.sha256))
    case .welcome, .reject, .probe, .parameters, .window, .assign, .cancel, .resultAck, .drain, .status,
      .statusReply:
      problem("\(message.type.name) came from a worker")
    }
    tellOfRefusedOffers()
    tellOfTheUnreachable()
  }

  /// Results whose bytes were not wanted: their workers are free again all the same.
  private func tellOfRefusedOffers() {
    while let coordinator, !coordinator.refusedOffers.isEmpty {
      let (peer, envelope, result) = coordinator.refusedOffers.removeFirst()
      handle(.result(peer: peer, session: envelope.session, term: envelope.term, result))
    }
  }

  /// A message that could not be read.
  func refuse(_ error: ProtocolError, from peer: PeerID) {
    let code = error.kind == .version ? RejectCode.version : .unknownSession
    guard deliver(.reject(Reject(code: code, reason: error.reason)), to: peer, session: .none) else { return }
    forget(peer)
    handle(.peerLost(peer: peer, reason: "\(error)"))
    tellOfTheUnreachable()
  }

  func childEnded(_ place: Int) {
    guard let coordinator else { return }
    if let peer = coordinator.localPeers.removeValue(forKey: place) {
      handle(.peerLost(peer: peer, reason: "its process ended"))
    }
    if self.coordinator === coordinator, !coordinator.expectsEnds, !coordinator.retired.contains(place) {
      events.add(.workerStart(place: place), at: now + 0.05)
    }
  }

  func handle(_ event: CoordinatorEvent, hello: Hello? = nil, incoming: ResultMessage? = nil) {
    guard let coordinator else { return }
    for effect in coordinator.fleet.step(event, now: coordinator.clock(now)) {
      carryOut(effect, coordinator, hello: hello, incoming: incoming)
      guard self.coordinator === coordinator else { return }
    }
    checkMemory(coordinator)
    if case .timer = event { tellOfTheUnreachable() }
  }

  /// Not while an effect is carried out: the core is told of one thing at a time.
  private func tellOfTheUnreachable() {
    while let coordinator, !coordinator.unreachable.isEmpty {
      let (peer, reason) = coordinator.unreachable.removeFirst()
      handle(.peerLost(peer: peer, reason: reason))
    }
  }

  private func carryOut(
    _ effect: SchedulerEffect, _ coordinator: SimulatedCoordinator, hello: Hello?, incoming: ResultMessage?
  ) {
    switch effect {
    case .keepPayload(let attempt, let shard, let unit):
      guard let incoming, incoming.attempt == attempt else {
        return problem("attempt \(attempt) is to be kept, and is not the one that came")
      }
      if coordinator.payloads.updateValue(incoming, forKey: attempt) != nil {
        problem("attempt \(attempt) is kept twice")
      }
      coordinator.engine?.collect(incoming, of: shard, in: unit)
    case .discardPayload(let attempt): coordinator.payloads[attempt] = nil
    case .record(let record):
      outcome.count("attempt \(record.outcome.rawValue)")
      if !coordinator.recorded.insert(record.attempt).inserted {
        problem("attempt \(record.attempt) ended twice")
      }
      tell(.attemptEnded(record))
    case .welcome(let peer, let session, let id): welcome(peer, session, id, hello, coordinator)
    case .reject(let peer, let code, let reason):
      outcome.count("reject \(code.rawValue)")
      if deliver(.reject(Reject(code: code, reason: reason)), to: peer, session: .none) { forget(peer) }
    case .sendParameters(let peer, let session, let tier, let version):
      sendParameters(peer, session, tier: tier, version: version, coordinator)
    case .assign(let peer, let session, let assignment):
      outcome.handOuts += 1
      coordinator.units[assignment.attempt] = assignment.unit
      // Nothing that is asked about is so old.
      coordinator.units[assignment.attempt - 4096] = nil
      coordinator.recorded.remove(assignment.attempt - 8192)
      _ = deliver(.assign(coordinator.run.message(of: assignment)), to: peer, session: session)
    case .acknowledge(let peer, let session, let attempt, let result):
      outcome.count("acknowledged \(result.rawValue)")
      checkAcknowledgement(of: attempt, result, coordinator)
      _ = deliver(.resultAck(ResultAck(attempt: attempt, outcome: result)), to: peer, session: session)
    case .cancel(let peer, let session, let attempt):
      outcome.count("cancels")
      _ = deliver(.cancel(Cancel(attempt: attempt)), to: peer, session: session)
    case .quarantine(let id, let identity, let reason):
      quarantine(id, identity, reason, coordinator)
    case .probe(let peer, let session):
      _ = deliver(.probe(Probe(seed: scenario.problem.config.seed)), to: peer, session: session)
    case .sendWindow(let peer, let session, let keys, let through):
      sendWindow(peer, session, keys, through: through, coordinator)
    case .sendDrain(let peer, let session): _ = deliver(.drain, to: peer, session: session)
    case .workerReady: break
    case .workerLeft(let id, let peer, let localIndex, let reason):
      workerLeft(id, peer, localIndex, reason, coordinator)
    case .log(let line): note("coordinator: \(line)")
    case .unitComplete(let unit): complete(unit, coordinator)
    case .unitLeft(let unit): tell(.unitLeft(unit))
    case .windowsComplete(let oldest): tell(.windowsComplete(oldestStep: oldest))
    case .windowsLost: tell(.windowsLost)
    case .drained: tell(.drained)
    case .fail(let reason): tell(.unitFailed(reason: reason))
    case .armTimer(let instant):
      coordinator.fleetTimer += 1
      if instant != .never {
        let timer = Event.coordinatorTimer(life: coordinator.life, generation: coordinator.fleetTimer)
        events.add(timer, at: max(now, coordinator.time(of: instant)), isTimer: true)
      }
    }
  }

  /// As the coordinator's socket does with a peer that will not be heard again.
  private func forget(_ peer: PeerID) {
    routes[Route.id(of: peer)]?.link = .coordinator(scenario.transport)
  }

  private func welcome(
    _ peer: PeerID, _ session: SessionID, _ id: Int, _ hello: Hello?, _ coordinator: SimulatedCoordinator
  ) {
    outcome.count("welcomes")
    coordinator.members[id] = hello
    if let index = hello?.localIndex { coordinator.localPeers[index] = peer }
    if let hello {
      tell(.worker(.joined(workerID: id, hello, key: nil, at: coordinator.clock(now))))
      guard self.coordinator === coordinator else { return }
    }
    let welcome = Welcome(
      workerID: id, modelPath: "/model", modelSHA256: Self.model, trainable: "full",
      tiers: scenario.problem.layout.tiers, heartbeatSeconds: coordinator.fleet.settings.heartbeatSeconds,
      run: coordinator.fleet.settings.run)
    _ = deliver(.welcome(welcome), to: peer, session: session)
  }

  private func sendParameters(
    _ peer: PeerID, _ session: SessionID, tier: Int, version: Int, _ coordinator: SimulatedCoordinator
  ) {
    guard let message = coordinator.run.parameters(tier: tier, version: version) else {
      return problem("tier \(tier) is to be sent at version \(version), which is not kept")
    }
    _ = deliver(.parameters(message), to: peer, session: session)
  }

  private func sendWindow(
    _ peer: PeerID, _ session: SessionID, _ keys: [WindowKey], through step: Int,
    _ coordinator: SimulatedCoordinator
  ) {
    guard let message = coordinator.engine?.windowMessage(keys, through: step) else { return }
    _ = deliver(.window(message), to: peer, session: session)
  }

  /// A worker came to a wrong result; another process on its machine would compute alike.
  private func quarantine(
    _ workerID: Int, _ identity: String, _ reason: String, _ coordinator: SimulatedCoordinator
  ) {
    outcome.count("quarantined")
    if !liars.contains(identity) { problem("\(identity) has told no lie, and is in quarantine: \(reason)") }
    if let index = coordinator.members[workerID]?.localIndex { coordinator.retired.insert(index) }
    tell(.quarantined(workerID: workerID, identity: identity, reason: reason))
  }

  /// What the workers sent for a unit goes to the run.
  private func complete(_ done: CompletedUnit, _ coordinator: SimulatedCoordinator) {
    let results = done.results.compactMap { result in
      coordinator.payloads.removeValue(forKey: result.attempt).map { UnitResult(result, $0) }
    }
    if !coordinator.payloads.isEmpty { problem("\(done.unit) left results behind") }
    if done.unit.hasLoss { checkCoverage(of: done, results: results) }
    if done.unit.purpose == .evaluate {
      checkEvaluation(done.lossSum / Double(done.tokens), step: done.unit.step)
    }
    tell(.unitComplete(done, results))
  }

  private func workerLeft(
    _ id: Int, _ peer: PeerID, _ localIndex: Int?, _ reason: String, _ coordinator: SimulatedCoordinator
  ) {
    note("coordinator: worker \(id) left: \(reason)")
    outcome.count("workers lost or gone")
    forget(peer)
    tell(.worker(.left(workerID: id, reason: reason, at: coordinator.clock(now))))
    guard self.coordinator === coordinator else { return }
    guard let localIndex, coordinator.localPeers[localIndex] == peer else { return }
    coordinator.localPeers[localIndex] = nil
    endWorker(localIndex, flushing: false)
  }
}
