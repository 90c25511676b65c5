import Coordination
import Service
import Training
import Transport
import WireProtocol

/// What FleetService does around the fleet's core, message by message and effect by effect.
extension Simulation {
  func receive(_ message: Message, _ envelope: Envelope, from peer: PeerID) {
    let session = envelope.session
    if case .decline = message { outcome.count("declined") }
    if let report = WorkerReport(message) {
      let incoming: ResultMessage? = if case .result(let result) = message { result } else { nil }
      handle(.reported(peer: peer, session: session, work: envelope.work, report), incoming: incoming)
      if case .leaseRenew = message { _ = deliver(.pong, to: peer, session: session) }
    } else {
      switch message {
      case .hello(let hello): handle(.hello(peer: peer, hello))
      case .goodbye, .drained: handle(.goodbye(peer: peer, session: session))
      case .ping:
        handle(.heard(peer: peer, session: session))
        _ = deliver(.pong, to: peer, session: session)
      case .pong, .model: handle(.heard(peer: peer, session: session))
      default: problem("\(message.type.name) came from a worker")
      }
    }
    tellOfOffers()
    tellOfTheUnreachable()
  }

  /// Results that were offered: of those whose bytes were not wanted the workers are free again all the same.
  private func tellOfOffers() {
    while let coordinator, !coordinator.offers.isEmpty {
      let (peer, envelope, result, isRefused) = coordinator.offers.removeFirst()
      let report = isRefused ? WorkerReport.result(result) : .offered(result)
      handle(.reported(peer: peer, session: envelope.session, work: envelope.work, report))
    }
  }

  private func decide(_ peer: PeerID, _ attempt: Int, _ verdict: OfferVerdict) {
    let id = Route.id(of: peer)
    guard var end = routes[id]?.link, let work = coordinator?.work else { return }
    do throws(TransportError) {
      defer { routes[id]?.link = end }
      try end.decide(attempt: attempt, of: work, verdict, now: seconds) { transmit($0, over: id, .down) }
    } catch {
      coordinator?.unreachable.append((peer, error.description))
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

  /// Hands an event to the fleet, and does what it says, in its order.
  func handle(_ event: FleetEvent, incoming: ResultMessage? = nil) {
    coordinator?.told.append(.fleet(event, incoming: incoming))
    tellAll()
    if case .timer = event { tellOfTheUnreachable() }
  }

  /// Tells the run of an event, and does what it says, in its order.
  func tell(_ event: RunEvent) {
    coordinator?.told.append(.run(event))
    tellAll()
  }

  /// The cores are told of one thing at a time; what follows from that is told afterwards.
  private func tellAll() {
    guard let coordinator, !coordinator.isTelling else { return }
    coordinator.isTelling = true
    defer { coordinator.isTelling = false }
    while !coordinator.told.isEmpty {
      switch coordinator.told.removeFirst() {
      case .fleet(let event, let incoming):
        for effect in coordinator.fleet.step(event, now: coordinator.clock(now)) {
          carryOut(effect, coordinator, incoming)
          guard self.coordinator === coordinator else { return }
        }
        checkMemory(coordinator)
      case .run(let event):
        if case .unitComplete(let done, let results) = event { check(done, results) }
        carryOut(coordinator.run.step(event, now: coordinator.clock(now)), coordinator)
      }
      guard self.coordinator === coordinator else { return }
    }
  }

  /// Not while an effect is carried out: the core is told of one thing at a time.
  private func tellOfTheUnreachable() {
    while let coordinator, !coordinator.unreachable.isEmpty {
      let (peer, reason) = coordinator.unreachable.removeFirst()
      handle(.peerLost(peer: peer, reason: reason))
    }
  }

  private func carryOut(
    _ effect: FleetEffect, _ coordinator: SimulatedCoordinator, _ incoming: ResultMessage?
  ) {
    switch effect {
    case .work(_, let effect): carryOut(effect, coordinator, incoming)
    case .welcome(let peer, let session, let memberID, let hello):
      outcome.count("welcomes")
      if let index = hello.localIndex { coordinator.localPeers[index] = peer }
      let welcome = Welcome(
        workerID: memberID, heartbeatSeconds: coordinator.fleet.settings.heartbeatSeconds)
      _ = deliver(.welcome(welcome), to: peer, session: session)
    case .reject(let peer, let code, let reason): turnAway(peer, code, reason)
    case .leaveRun(let peer, let session, _):
      _ = deliver(.leaveRun, to: peer, session: session, of: coordinator.work)
    case .sendDrain(let peer, let session): _ = deliver(.drain, to: peer, session: session)
    case .memberLeft(_, let peer, let localIndex, let reason):
      note("coordinator: \(peer) left: \(reason)")
      outcome.count("workers lost or gone")
      forget(peer)
      guard let localIndex, coordinator.localPeers[localIndex] == peer else { return }
      coordinator.localPeers[localIndex] = nil
      endWorker(localIndex, flushing: false)
    case .log(let line): note("coordinator: \(line)")
    case .closed: closed()
    case .armTimer(let instant):
      coordinator.fleetTimer += 1
      if instant != .never {
        let timer = Event.coordinatorTimer(life: coordinator.life, generation: coordinator.fleetTimer)
        events.add(timer, at: max(now, coordinator.time(of: instant)), isTimer: true)
      }
    }
  }

  private func turnAway(_ peer: PeerID, _ code: RejectCode, _ reason: String) {
    outcome.count("reject \(code.rawValue)")
    if deliver(.reject(Reject(code: code, reason: reason)), to: peer, session: .none) { forget(peer) }
  }

  private func carryOut(
    _ effect: SchedulerEffect, _ coordinator: SimulatedCoordinator, _ incoming: ResultMessage?
  ) {
    let work = coordinator.work
    switch effect {
    case .keepPayload(let attempt, let shard, let unit):
      guard let incoming, incoming.attempt == attempt else {
        return problem("attempt \(attempt) is to be kept, and is not the one that came")
      }
      let kept = unit.isSummedAsItComes ? incoming.withoutBytes : incoming
      if coordinator.payloads.updateValue(kept, forKey: attempt) != nil {
        problem("attempt \(attempt) is kept twice")
      }
      guard unit.isSummedAsItComes else { break }
      do { try coordinator.engine?.collect(incoming, of: shard, in: unit) } catch {
        problem("attempt \(attempt) cannot be added up: \(error)")
      }
    case .discardPayload(let attempt):
      coordinator.payloads[attempt] = nil
      do { try coordinator.engine?.discard(attempt) } catch {
        problem("attempt \(attempt) cannot be dropped: \(error)")
      }
    case .credit(let peer, _, let attempt): decide(peer, attempt, .take)
    case .refuse(let peer, _, let attempt, let outcome):
      self.outcome.count("offers refused later")
      decide(peer, attempt, .refuse(outcome))
    case .record(let record):
      outcome.count("attempt \(record.outcome.rawValue)")
      if !coordinator.recorded.insert(record.attempt).inserted {
        problem("attempt \(record.attempt) ended twice")
      }
      tell(.attemptEnded(record))
    case .enterRun(let peer, let session, let id): enter(peer, session, id, coordinator)
    case .reject(let peer, let code, let reason): turnAway(peer, code, reason)
    case .sendParameters(let peer, let session, let tier, let version):
      sendParameters(peer, session, tier: tier, version: version, coordinator)
    case .assign(let peer, let session, let assignment):
      outcome.handOuts += 1
      coordinator.units[assignment.attempt] = assignment.unit
      // Nothing that is asked about is so old.
      coordinator.units[assignment.attempt - 4096] = nil
      coordinator.recorded.remove(assignment.attempt - 8192)
      _ = deliver(.assign(coordinator.run.message(of: assignment)), to: peer, session: session, of: work)
    case .acknowledge(let peer, let session, let attempt, let result):
      outcome.count("acknowledged \(result.rawValue)")
      checkAcknowledgement(of: attempt, result, coordinator)
      _ = deliver(
        .resultAck(ResultAck(attempt: attempt, outcome: result)), to: peer, session: session, of: work)
    case .cancel(let peer, let session, let attempt):
      outcome.count("cancels")
      _ = deliver(.cancel(Cancel(attempt: attempt)), to: peer, session: session, of: work)
    case .quarantine(let id, let identity, let reason):
      quarantine(id, identity, reason, coordinator)
    case .probe(let peer, let session):
      _ = deliver(.probe(Probe(seed: scenario.problem.config.seed)), to: peer, session: session, of: work)
    case .sendWindow(let peer, let session, let keys, let through):
      sendWindow(peer, session, keys, through: through, coordinator)
    case .workerReady: break
    case .workerLeft(let id, _, let reason, _):
      tell(.worker(.left(workerID: id, reason: reason, at: coordinator.clock(now))))
    case .log(let line): note("coordinator: \(line)")
    case .unitComplete(let unit): complete(unit, coordinator)
    case .unitLeft(let unit): tell(.unitLeft(unit))
    case .windowsComplete(let oldest): tell(.windowsComplete(oldestStep: oldest))
    case .windowsLost: tell(.windowsLost)
    case .drained: tell(.drained)
    case .fail(let reason): tell(.unitFailed(reason: reason))
    }
  }

  /// As the coordinator's socket does with a peer that will not be heard again.
  private func forget(_ peer: PeerID) {
    routes[Route.id(of: peer)]?.link = .coordinator(
      scenario.transport, kept: coordinator?.kept ?? KeptObjects())
  }

  private func enter(
    _ peer: PeerID, _ session: SessionID, _ id: Int, _ coordinator: SimulatedCoordinator
  ) {
    guard let hello = coordinator.fleet.hello(of: peer) else { return }
    coordinator.members[id] = hello
    tell(.worker(.joined(workerID: id, hello, key: nil, at: coordinator.clock(now))))
    let run = EnterRun(
      workerID: id, run: "simulated", modelPath: "/model", modelSHA256: Self.model, trainable: "full",
      tiers: scenario.problem.layout.tiers)
    _ = deliver(.enterRun(run), to: peer, session: session, of: coordinator.work)
  }

  private func sendParameters(
    _ peer: PeerID, _ session: SessionID, tier: Int, version: Int, _ coordinator: SimulatedCoordinator
  ) {
    guard let message = coordinator.run.parameters(tier: tier, version: version) else {
      return problem("tier \(tier) is to be sent at version \(version), which is not kept")
    }
    _ = deliver(.parameters(message), to: peer, session: session, of: coordinator.work)
  }

  private func sendWindow(
    _ peer: PeerID, _ session: SessionID, _ keys: [WindowKey], through step: Int,
    _ coordinator: SimulatedCoordinator
  ) {
    guard let message = coordinator.engine?.windowMessage(keys, through: step) else { return }
    _ = deliver(.window(message), to: peer, session: session, of: coordinator.work)
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
    tell(.unitComplete(done, results))
  }

  /// Once the run knows of the hand-outs that count.
  private func check(_ done: CompletedUnit, _ results: [UnitResult]) {
    if done.unit.hasLoss { checkCoverage(of: done, results: results) }
    if done.unit.purpose == .evaluate {
      checkEvaluation(done.lossSum / Double(done.tokens), step: done.unit.step)
    }
  }
}
