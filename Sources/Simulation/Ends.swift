import Coordination
import Transport
import WireProtocol

/// What comes over the wires, at both ends: the real links, with their sequence numbers and transfers.
extension Simulation {
  /// For the links, which take seconds on some clock.
  var seconds: Double { now.seconds(since: .zero) }

  func arriveAtCoordinator(_ packet: Packet) {
    guard let route = takeOff(packet, .up), let coordinator, route.term == coordinator.life else { return }
    if let error = route.key.flatMap(allowedKeys.objection) { return refuse(error, from: route.peer) }
    var end = route.link
    let received = decoded(packet, "worker \(route.place) → coordinator") {
      envelope, message throws(ProtocolError) in
      try end.receive(
        envelope, message, now: seconds,
        judge: { self.judge($1, $0, of: route.peer, coordinator) },
        put: { self.transmit($0, over: route.id, .down) })
    }
    routes[route.id]?.link = end
    switch received {
    case .success(let (envelope, message)):
      if case .hello = message { coordinator.origins[route.peer] = (route.place, route.key) }
      receive(message, envelope, from: route.peer)
    case .failure(let error): refuse(error, from: route.peer)
    }
  }

  private func decoded(
    _ packet: Packet, _ way: String,
    _ take: (Envelope, Message) throws(ProtocolError) -> (envelope: Envelope, message: Message)
  ) -> Result<(envelope: Envelope, message: Message), ProtocolError> {
    do throws(ProtocolError) {
      let (envelope, message) = try MessageDecoder.decode(frames: packet.frames)
      note("\(way) (\(packet.route)): \(message.line)")
      let received = try take(envelope, message)
      if envelope.type != received.envelope.type { outcome.count("transfers") }
      return .success(received)
    } catch {
      note("\(way) (\(packet.route)): \(error)")
      outcome.count("refused: \(error.kind.rawValue)")
      return .failure(error)
    }
  }

  /// Whether the bytes of a result are worth sending; if not, the core is told of it all the same.
  private func judge(
    _ message: ResultMessage, _ envelope: Envelope, of peer: PeerID, _ coordinator: SimulatedCoordinator
  ) -> OfferVerdict {
    let result = ResultSummary(message)
    let verdict = coordinator.fleet.verdict(
      on: result, peer: peer, session: envelope.session, work: envelope.work)
    outcome.count(verdict == nil ? "offers held" : "offers refused")
    coordinator.offers.append((peer, envelope, result, isRefused: verdict != nil))
    return verdict.map { .refuse($0) } ?? .hold
  }

  func arriveAtWorker(_ packet: Packet) {
    guard let route = takeOff(packet, .down), workers[route.place].isAlive,
      workers[route.place].route == route.id
    else { return }
    let place = route.place
    var end = workers[place].link
    let received = decoded(packet, "coordinator → worker \(place)") {
      envelope, message throws(ProtocolError) in
      try end.receive(envelope, message, now: seconds, put: { self.transmit($0, over: route.id, .up) })
    }
    workers[place].link = end
    switch received {
    case .success(let (envelope, message)):
      feed(message, envelope, to: place)
      tell(place, .message(envelope, message))
    case .failure(let error): tell(place, .connectionFailed(reason: "\(error)"))
    }
    if workers[place].ending != nil, workers[place].link.hasSentAll { close(place) }
  }

  /// Once a second: transfers that do not move, and what found no room before.
  func watchTransfers() {
    if let coordinator, coordinator.stalledUntil <= now {
      for id in routes.keys.sorted() {
        guard var end = routes[id]?.link, let peer = routes[id]?.peer else { continue }
        try? end.pump(now: seconds) { self.transmit($0, over: id, .down) }
        routes[id]?.link = end
        if let stall = end.stall(now: seconds) {
          outcome.count("transfers that stalled")
          refuse(stall, from: peer)
        }
      }
    }
    for place in workers.indices where workers[place].isAlive && workers[place].frozenUntil <= now {
      guard let id = workers[place].route else { continue }
      var end = workers[place].link
      try? end.pump(now: seconds) { self.transmit($0, over: id, .up) }
      workers[place].link = end
      guard let stall = end.stall(now: seconds) else { continue }
      outcome.count("transfers that stalled")
      tell(place, .connectionFailed(reason: "\(stall)"))
    }
  }
}
