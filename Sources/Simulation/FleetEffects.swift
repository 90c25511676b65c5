import Coordination
import Service
import Training
import Transport
import WireProtocol

/// What the fleet's core, and the schedulers of runs, want done.
extension Simulation {
  func carryOut(
    _ effect: FleetEffect, _ coordinator: SimulatedCoordinator, _ incoming: ResultMessage?
  ) {
    switch effect {
    case .work(_, .reject(let peer, let code, let reason)): turnAway(peer, code, reason)
    case .work(let run, .acknowledge(let peer, let session, let attempt, let result)):
      acknowledge(attempt, result, of: run, to: peer, session)
    case .work(let run, let effect):
      if let driver = coordinator.drivers[run] { carryOut(effect, driver, coordinator, incoming) }
    case .welcome(let peer, let session, let memberID, let hello):
      outcome.count("welcomes")
      if let index = hello.localIndex { coordinator.localPeers[index] = peer }
      let welcome = Welcome(
        workerID: memberID, heartbeatSeconds: coordinator.fleet.settings.heartbeatSeconds)
      checkKey(of: peer, coordinator)
      _ = deliver(.welcome(welcome), to: peer, session: session)
    case .reject(let peer, let code, let reason): turnAway(peer, code, reason)
    case .leaveRun(let peer, let session, let run):
      coordinator.drivers[run]?.modelTurns.forget(peer)
      _ = deliver(.leaveRun, to: peer, session: session, of: work(of: run))
    case .sendDrain(let peer, let session): _ = deliver(.drain, to: peer, session: session)
    case .memberLeft(_, let peer, let localIndex, let reason):
      note("coordinator: \(peer) left: \(reason)")
      outcome.count("workers lost or gone")
      forget(peer)
      for driver in coordinator.drivers.values { driver.modelTurns.forget(peer) }
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
    if code == .full, reason.contains("of the key") { outcome.count(.keyQuota) }
    if code == .model { checkModel(of: peer) }
    if deliver(.reject(Reject(code: code, reason: reason)), to: peer, session: .none) { forget(peer) }
  }

  /// Nobody is turned away for a model that some run at work has, or one that waits.
  private func checkModel(of peer: PeerID) {
    guard let place = routes[Route.id(of: peer)]?.place, let coordinator,
      let number = workers[place].plan.ownModel
    else { return }
    // One that has let its workers go writes no more than how they went.
    let isAtWork = coordinator.drivers[number].map { !$0.isDrained } ?? false
    if isAtWork || coordinator.queue.notBegun.contains(number) {
      problem("worker \(place) is turned away, and has the model of \(number), which is not over")
    }
  }

  private func work(of run: RunNumber) -> RunTerm {
    RunTerm(run, term: coordinator?.drivers[run]?.term ?? 0)
  }

  /// Also of a run that is over, or that the worker has left.
  private func acknowledge(
    _ attempt: Int, _ result: ResultOutcome, of run: RunNumber, to peer: PeerID, _ session: SessionID
  ) {
    outcome.count("acknowledged \(result.rawValue)")
    if let driver = coordinator?.drivers[run] { checkAcknowledgement(of: attempt, result, driver) }
    let ack = ResultAck(attempt: attempt, outcome: result)
    _ = deliver(.resultAck(ack), to: peer, session: session, of: work(of: run))
  }

  private func carryOut(
    _ effect: SchedulerEffect, _ driver: SimulatedDriver, _ coordinator: SimulatedCoordinator,
    _ incoming: ResultMessage?
  ) {
    let work = driver.work
    switch effect {
    case .keepPayload(let attempt, let shard, let unit, let makesRoom):
      guard let incoming, incoming.attempt == attempt else {
        return problem("attempt \(attempt) is to be kept, and is not the one that came")
      }
      if !driver.kept.keep(incoming, attempt: attempt, of: unit) {
        problem("attempt \(attempt) is kept twice")
      }
      guard unit.isSummedAsItComes else { break }
      do { try driver.engine?.collect(incoming, of: shard, in: unit) } catch {
        problem("attempt \(attempt) cannot be added up: \(error)")
      }
      // The sum is made by now; told of it is as late as by RunDriver, which makes it beside the socket.
      guard makesRoom else { break }
      beside(driver, "attempt \(attempt) is added up", 0.0005) {
        $0.handle(.requested(driver.number, .added(attempt: attempt)))
      }
    case .discardPayload(let attempt):
      driver.kept.discard(attempt)
      do { try driver.engine?.discard(attempt) } catch {
        problem("attempt \(attempt) cannot be dropped: \(error)")
      }
    case .credit(let peer, _, let attempt): decide(peer, attempt, of: work, .take)
    case .refuse(let peer, _, let attempt, let outcome):
      self.outcome.count("offers refused later")
      decide(peer, attempt, of: work, .refuse(outcome))
    case .record(let record):
      outcome.count("attempt \(record.outcome.rawValue)")
      if !driver.recorded.insert(record.attempt).inserted {
        problem("attempt \(record.attempt) ended twice")
      }
      tell(driver, .attemptEnded(record))
    case .enterRun(let peer, let session, let id): enter(peer, session, id, driver, coordinator)
    case .sendParameters(let peer, let session, let tier, let version):
      sendParameters(peer, session, tier: tier, version: version, driver)
    case .assign(let peer, let session, let assignment):
      outcome.handOuts += 1
      driver.units[assignment.attempt] = assignment.unit
      // Nothing that is asked about is so old.
      driver.units[assignment.attempt - 4096] = nil
      driver.recorded.remove(assignment.attempt - 8192)
      _ = deliver(.assign(driver.core.message(of: assignment)), to: peer, session: session, of: work)
    case .cancel(let peer, let session, let attempt):
      outcome.count("cancels")
      _ = deliver(.cancel(Cancel(attempt: attempt)), to: peer, session: session, of: work)
    case .quarantine(let id, let identity, let reason):
      quarantine(id, identity, reason, driver, coordinator)
    case .probe(let peer, let session):
      _ = deliver(.probe(Probe(seed: driver.run.problem.config.seed)), to: peer, session: session, of: work)
    case .sendWindow(let peer, let session, let keys, let through):
      sendWindow(peer, session, keys, through: through, driver)
    case .workerReady: break
    case .workerLeft(let id, _, let reason, _):
      tell(driver, .worker(.left(workerID: id, reason: reason, at: coordinator.clock(now))))
    case .log(let line): note("coordinator: \(line)")
    case .unitComplete(let unit): complete(unit, driver)
    case .unitLeft(let unit): tell(driver, .unitLeft(unit))
    case .windowsComplete(let oldest): tell(driver, .windowsComplete(oldestStep: oldest))
    case .windowsLost: tell(driver, .windowsLost)
    case .drained:
      driver.isDrained = true
      tell(driver, .drained)
    case .fail(let reason): tell(driver, .unitFailed(reason: reason))
    case .reject, .acknowledge: break
    }
  }

  /// As the coordinator's socket does with a peer that will not be heard again.
  func forget(_ peer: PeerID) {
    coordinator?.origins[peer] = nil
    routes[Route.id(of: peer)]?.link = .coordinator(
      scenario.transport, kept: coordinator?.kept ?? KeptObjects())
  }

  private func enter(
    _ peer: PeerID, _ session: SessionID, _ id: Int, _ driver: SimulatedDriver,
    _ coordinator: SimulatedCoordinator
  ) {
    guard let hello = coordinator.fleet.hello(of: peer), let identity = coordinator.fleet.identity(of: peer)
    else { return }
    driver.members[id] = SimulatedDriver.Member(hello: hello, identity: identity)
    let key = coordinator.origins[peer]?.key
    tell(driver, .worker(.joined(workerID: id, hello, key: key, at: coordinator.clock(now))))
    let entered = EnterRun(
      workerID: id, run: driver.run.name, plan: driver.core.plan.number, modelPath: "/model",
      modelSHA256: driver.run.model,
      trainable: "full", tiers: driver.run.problem.layout.tiers)
    _ = deliver(.enterRun(entered), to: peer, session: session, of: driver.work)
  }

  private func sendParameters(
    _ peer: PeerID, _ session: SessionID, tier: Int, version: Int, _ driver: SimulatedDriver
  ) {
    guard let message = driver.core.parameters(tier: tier, version: version) else {
      return problem("tier \(tier) is to be sent at version \(version), which is not kept")
    }
    _ = deliver(.parameters(message), to: peer, session: session, of: driver.work)
  }

  private func sendWindow(
    _ peer: PeerID, _ session: SessionID, _ keys: [WindowKey], through step: Int, _ driver: SimulatedDriver
  ) {
    guard let message = driver.engine?.windowMessage(keys, through: step) else { return }
    _ = deliver(.window(message), to: peer, session: session, of: driver.work)
  }

  /// A worker came to a wrong result; another process on its machine would compute alike.
  private func quarantine(
    _ workerID: Int, _ identity: String, _ reason: String, _ driver: SimulatedDriver,
    _ coordinator: SimulatedCoordinator
  ) {
    outcome.count("quarantined")
    if !liars.contains(identity) { problem("\(identity) has told no lie, and is in quarantine: \(reason)") }
    if let index = driver.members[workerID]?.hello.localIndex { coordinator.retired.insert(index) }
    tell(driver, .quarantined(workerID: workerID, identity: identity, reason: reason))
  }

  /// What the workers sent for a unit goes to the run.
  private func complete(_ done: CompletedUnit, _ driver: SimulatedDriver) {
    let (results, leftOver) = driver.kept.take(for: done)
    if leftOver > 0 { problem("\(done.unit) left \(leftOver) results behind") }
    tell(driver, .unitComplete(done, results))
  }

  /// Once the run knows of the hand-outs that count.
  func check(_ done: CompletedUnit, _ results: [UnitResult], _ driver: SimulatedDriver) {
    if done.unit.hasLoss { checkCoverage(of: done, results: results) }
    if done.unit.purpose == .evaluate {
      checkEvaluation(done.lossSum / Double(done.tokens), of: done.unit, driver)
    }
  }
}
