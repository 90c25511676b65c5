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
      case .hello(let hello): greet(hello, peer)
      case .goodbye, .drained: handle(.goodbye(peer: peer, session: session))
      case .ping:
        handle(.heard(peer: peer, session: session))
        _ = deliver(.pong, to: peer, session: session)
      case .pong: handle(.heard(peer: peer, session: session))
      case .model(let model): serveModel(model, envelope, to: peer)
      default: problem("\(message.type.name) came from a worker")
      }
    }
    tellOfOffers()
    tellOfTheUnreachable()
  }

  private func greet(_ hello: Hello, _ peer: PeerID) {
    // Where everybody says what is so, nobody has a secret.
    let believed = scenario.hasHostileHellos ? hello.vouched { secret(of: $0) } : hello
    let origin = coordinator?.origins[peer]
    if let index = believed.localIndex, let origin, origin.place != index {
      problem("worker \(origin.place) passes for the local worker \(index)")
    }
    handle(.hello(peer: peer, believed, key: origin?.key))
  }

  private func secret(of localIndex: Int) -> String? {
    workers.indices.contains(localIndex) ? workers[localIndex].secret : nil
  }

  /// Results that were offered: of those whose bytes were not wanted the workers are free again all the same.
  private func tellOfOffers() {
    while let coordinator, !coordinator.offers.isEmpty {
      let (peer, envelope, result, isRefused) = coordinator.offers.removeFirst()
      let report = isRefused ? WorkerReport.result(result) : .offered(result)
      handle(.reported(peer: peer, session: envelope.session, work: envelope.work, report))
    }
  }

  func decide(_ peer: PeerID, _ attempt: Int, of work: RunTerm, _ verdict: OfferVerdict) {
    let id = Route.id(of: peer)
    guard var end = routes[id]?.link else { return }
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

  /// Tells a run of an event, and does what it says, in its order. One that is over hears of nothing.
  func tell(_ driver: SimulatedDriver, _ event: RunEvent) {
    coordinator?.told.append(.run(driver, event))
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
      case .run(let driver, let event):
        guard coordinator.drivers[driver.number] === driver else { continue }
        if case .unitComplete(let done, let results) = event { check(done, results, driver) }
        let effects = driver.core.step(event, now: coordinator.clock(now))
        inspect(effects, after: event, driver)
        carryOut(effects, driver)
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
}
