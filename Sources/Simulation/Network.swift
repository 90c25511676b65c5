import Coordination
import WireProtocol

/// Something keeps what is sent in a direction from arriving, for a time. TCP holds it back and sends it again.
struct Partition {
  let place: Int
  let direction: Direction
  let until: Instant
}

/// The wires: latency, bandwidth, order within a connection, and what may happen on the way.
extension Simulation {
  /// Messages that may wait for one peer, as the sockets' high-water marks have it.
  static let highWaterMark = 256

  // MARK: - Connections

  /// Connects the socket of a worker, if there is a coordinator to connect to.
  func reconnect(_ place: Int, socket: Int) {
    guard workers[place].socket == socket, workers[place].isAlive, workers[place].route == nil else { return }
    guard let coordinator else {
      return events.add(.reconnect(place: place, socket: socket), at: now + reconnectSeconds)
    }
    guard isLetIn(place) else { return }
    let route = makeRoute(to: place, socket: socket, coordinator)
    workers[place].route = route.id
    note("connection \(route.id) of worker \(place) stands")
    for frames in workers[place].takeUnsent() { transmit(frames, over: route.id, .up) }
  }

  func makeRoute(to place: Int, socket: Int, _ coordinator: SimulatedCoordinator) -> Route {
    let route = Route(
      id: nextRoute, place: place, socket: socket, term: coordinator.life,
      key: workers[place].plan.key, link: .coordinator(scenario.transport, kept: coordinator.kept))
    nextRoute += 1
    routes[route.id] = route
    outcome.peakRoutes = max(outcome.peakRoutes, routes.count)
    return route
  }

  private var reconnectSeconds: Double { Double.random(in: 0.1...2, using: &random) }

  /// The worker closes its socket; what it has sent may still arrive, if it is `flushing`.
  func disconnect(_ place: Int, flushing: Bool) {
    guard let id = workers[place].route else { return }
    workers[place].route = nil
    if flushing, let line = routes[id]?.up, line.inFlight > 0 {
      routes[id]?.isClosing = true
    } else {
      routes[id]?.link.end(now: seconds)
      routes[id] = nil
    }
  }

  /// The connection breaks: what is on its way is gone, and the socket connects again.
  func cut(_ place: Int) {
    guard let id = workers[place].route else { return }
    note("connection \(id) of worker \(place) is cut")
    routes[id]?.link.end(now: seconds)
    routes[id] = nil
    workers[place].route = nil
    events.add(.reconnect(place: place, socket: workers[place].socket), at: now + reconnectSeconds)
  }

  // MARK: - Messages

  /// - Returns: whether the message was taken.
  @discardableResult func transmit(_ frames: [[UInt8]], over id: Int, _ direction: Direction) -> Bool {
    guard let route = routes[id] else { return false }
    var line = direction == .up ? route.up : route.down
    guard line.inFlight < Self.highWaterMark else { return false }
    outcome.messages += 1
    let bytes = frames.reduce(0) { $0 + $1.count }
    let begins = max(now, line.freeAt)
    line.freeAt = begins + Double(bytes) / scenario.bandwidth
    tellOfArrivals(over: route, direction, from: begins, to: line.freeAt)
    let jitter = Double.random(in: 0.5...1.5, using: &random)
    var arrival = line.freeAt + scenario.latencySeconds * jitter
    var packet = Packet(route: id, frames: frames)
    var copies = 1
    if isFaulty {
      let faults = scenario.network
      if random.chance(faults.delayed) {
        outcome.count(.messageDelayed)
        arrival = arrival + Double.random(in: 0...faults.delaySeconds, using: &random)
      }
      if random.chance(faults.lost) {
        outcome.count(.messageLost)
        copies = 0
      } else if random.chance(faults.damaged) {
        outcome.count(.messageDamaged)
        packet = damaged(packet)
      }
      if random.chance(faults.reordered) {
        outcome.count(.messageReordered)
        arrival = arrival + Double.random(in: 0...1, using: &random)
      } else {
        arrival = max(arrival, line.lastArrival)
        line.lastArrival = arrival
      }
      if copies > 0, random.chance(faults.duplicated) {
        outcome.count(.messageDuplicated)
        copies = 2
      }
    } else {
      arrival = max(arrival, line.lastArrival)
      line.lastArrival = arrival
    }
    line.inFlight += copies
    if direction == .up { routes[id]?.up = line } else { routes[id]?.down = line }
    if copies == 0 { note("(lost)") }
    for copy in 0..<copies {
      let time = copy == 0 ? arrival : arrival + Double.random(in: 0...3, using: &random)
      events.add(direction == .up ? .toCoordinator(packet) : .toWorker(packet), at: time)
    }
    return true
  }

  /// While a long message is on its way, the socket that it comes to sees that bytes of it come.
  private func tellOfArrivals(
    over route: Route, _ direction: Direction, from begin: Instant, to end: Instant
  ) {
    var time = begin + 1
    while time < end {
      events.add(.bytesArrive(route: route.id, direction), at: time + scenario.latencySeconds)
      time = time + 1
    }
  }

  /// As FleetService and WorkerService do: the bytes stand for a sign of life, and those of a worker for a PING.
  func bytesArrive(over id: Int, _ direction: Direction) {
    guard let route = routes[id] else { return }
    if direction == .down {
      if workers[route.place].route == id { tell(route.place, .arriving) }
      if coordinator?.life == route.term { handle(.leaving(peer: route.peer)) }
      return
    }
    guard let coordinator, coordinator.life == route.term,
      let session = coordinator.fleet.session(of: route.peer)
    else { return }
    outcome.count("bytes of a long message")
    handle(.arriving(peer: route.peer))
    _ = deliver(.pong, to: route.peer, session: session)
  }

  private func damaged(_ packet: Packet) -> Packet {
    var frames = packet.frames
    let frame = Int.random(in: frames.indices, using: &random)
    guard !frames[frame].isEmpty else { return packet }
    let byte = Int.random(in: frames[frame].indices, using: &random)
    frames[frame][byte] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    return Packet(route: packet.route, frames: frames)
  }

  /// Until when what comes of a place, or goes there, is held back.
  func partition(_ place: Int?, _ direction: Direction) -> Instant? {
    guard !partitions.isEmpty, let place else { return nil }
    partitions.removeAll { $0.until <= now }
    return partitions.filter { $0.place == place && $0.direction == direction }.map(\.until).max()
  }

  /// Takes a message off the wire; nil if its connection is gone.
  func takeOff(_ packet: Packet, _ direction: Direction) -> Route? {
    guard var route = routes[packet.route] else { return nil }
    if direction == .up { route.up.inFlight -= 1 } else { route.down.inFlight -= 1 }
    routes[packet.route] = route.isClosing && route.up.inFlight == 0 ? nil : route
    return route
  }
}
