import WireProtocol

/// What each connection has sent and what has been read of it, and which are to be ended. Pure but for asking the
/// counters.
struct IntakeLedger {
  private struct Connection {
    let counter: ConnectionCounter
    /// Of the socket whose monitor has told of it.
    let monitor: Int
    /// What had come and was not read when it was last looked at.
    var held = 0
    /// What had come and gone by then.
    var bytes = ConnectionCounter.Bytes()
    /// What had come and gone when that was last told of.
    var toldOf = ConnectionCounter.Bytes()
    var isStranger = true
    var hasEnded = false
  }

  /// What the socket's thread has read over a connection, and whose it is. It is kept apart from `Connection`, since on a
  /// busy machine the watch's thread hears of a connection only after its first messages have been read and answered.
  private struct Reading {
    var peer: [UInt8]
    /// Bytes of the messages that have been read, as they were on the wire.
    var bytes = 0
    var isWorker = false
  }

  let limits: IntakeLimits
  /// By descriptor.
  private var connections: [Int32: Connection] = [:]
  /// By the connection's cookie.
  private var readings: [UInt64: Reading] = [:]
  /// Cookies of connections that are said to have ended, oldest first. What is known of them is kept for a while: where a
  /// connection has come and gone before it was heard of, its end is taken for that of the next with its descriptor.
  private var ended: [UInt64] = []
  private static let keptEnded = 256
  /// By descriptor: the peer that was last read from, and the cookie of its connection; nil of one that is not counted.
  private var lastRead: [Int32: (peer: [UInt8], cookie: UInt64?)] = [:]

  init(limits: IntakeLimits) { self.limits = limits }

  var isEmpty: Bool { connections.isEmpty }
  var count: Int { connections.count }
  /// Entries beside the connections that were heard of.
  var rememberedCount: Int { readings.count + lastRead.count }

  mutating func accepted(_ counter: ConnectionCounter, monitor: Int) {
    guard connections[counter.descriptor]?.counter.cookie != counter.cookie else { return }
    ended.removeAll { $0 == counter.cookie }
    connections[counter.descriptor] = Connection(counter: counter, monitor: monitor)
  }

  /// A descriptor of a socket's connections was closed. Of another socket it may be in use already.
  ///
  /// - Returns: whose connection it was; the inner nil of one over which nothing was read, the outer of one that is not
  ///   counted, as those of this machine's own socket files.
  mutating func closed(_ descriptor: Int32, monitor: Int) -> [UInt8]?? {
    guard let connection = connections[descriptor], connection.monitor == monitor else { return nil }
    forget(connection)
    return .some(readings[connection.counter.cookie]?.peer)
  }

  private mutating func forget(_ connection: Connection) {
    connections[connection.counter.descriptor] = nil
    ended.append(connection.counter.cookie)
    if ended.count > Self.keptEnded { readings[ended.removeFirst()] = nil }
  }

  /// A message was read, of so many bytes on the wire. Where a descriptor has come to be another connection's meanwhile,
  /// that one is credited with no more than it has sent: `enforce` sees to that.
  ///
  /// - Parameter counter: makes the counter of what the descriptor is now; asked once a peer.
  mutating func read(
    _ byteCount: Int, from descriptor: Int32, peer: [UInt8], counter: (Int32) -> ConnectionCounter?
  ) {
    if lastRead[descriptor]?.peer != peer {
      forgetTheUnheardOf()
      lastRead[descriptor] = (peer, counter(descriptor)?.cookie)
    }
    guard let cookie = lastRead[descriptor]?.cookie else { return }
    if readings[cookie]?.peer != peer, readings[cookie]?.isWorker != true {
      readings[cookie] = Reading(peer: peer)
    }
    readings[cookie]?.bytes += byteCount
  }

  /// Whatever descriptors come to be, no more is remembered than some for each connection.
  private mutating func forgetTheUnheardOf() {
    guard readings.count + lastRead.count > 4 * connections.count + 4 * Self.keptEnded else { return }
    let known = Set(connections.values.map(\.counter.cookie))
    readings = readings.filter { known.contains($0.key) }
    lastRead = lastRead.filter { $0.value.cookie.map(known.contains) ?? false }
  }

  /// Workers whose long messages have moved since this was last asked.
  mutating func takeMoving() -> MovingMessages {
    var moving = MovingMessages()
    for (descriptor, connection) in connections {
      let (now, before) = (connection.bytes, connection.toldOf)
      connections[descriptor]?.toldOf = now
      guard let reading = readings[connection.counter.cookie], reading.isWorker else { continue }
      let peer = PeerID(reading.peer)
      if now.received - before.received >= MovingMessages.leastBytes { moving.arriving.append(peer) }
      if now.acknowledged - before.acknowledged >= MovingMessages.leastBytes { moving.leaving.append(peer) }
    }
    return moving
  }

  /// A peer has been welcomed as a worker.
  mutating func welcome(_ peer: [UInt8]) {
    for cookie in readings.keys where readings[cookie]?.peer == peer { readings[cookie]?.isWorker = true }
  }

  /// Ends the connections that hold more than they may, alone or together with others.
  mutating func enforce() -> [IntakeExcess] {
    var excesses: [IntakeExcess] = []
    for descriptor in connections.keys {
      guard var connection = connections[descriptor], !connection.hasEnded else { continue }
      guard let bytes = connection.counter.bytes else {
        forget(connection)
        continue
      }
      let reading = readings[connection.counter.cookie]
      let read = min(reading?.bytes ?? 0, bytes.received)
      readings[connection.counter.cookie]?.bytes = read
      connection.held = bytes.received - read
      connection.isStranger = reading?.isWorker != true
      connection.bytes = bytes
      connections[descriptor] = connection
      let limit = connection.isStranger ? limits.strangerBytes : limits.workerBytes
      if connection.held > limit { excesses.append(end(descriptor, limit)) }
    }
    excesses += endLargest(above: limits.allStrangersBytes) { $0.isStranger }
    excesses += endLargest(above: limits.allBytes) { _ in true }
    return excesses
  }

  private mutating func endLargest(
    above limit: Int, _ counts: (Connection) -> Bool
  ) -> [IntakeExcess] {
    let open = connections.filter { !$0.value.hasEnded && counts($0.value) }
    var total = open.values.reduce(0) { $0 + $1.held }
    guard total > limit else { return [] }
    var excesses: [IntakeExcess] = []
    for (descriptor, connection) in open.sorted(by: { $0.value.held > $1.value.held }) where total > limit {
      total -= connection.held
      excesses.append(end(descriptor, limit))
    }
    return excesses
  }

  private mutating func end(_ descriptor: Int32, _ limit: Int) -> IntakeExcess {
    let connection = connections[descriptor]
    connection?.counter.end()
    connections[descriptor]?.hasEnded = true
    let peer = connection.flatMap { readings[$0.counter.cookie]?.peer }
    return IntakeExcess(peer: peer, bytes: connection?.held ?? 0, limit: limit)
  }
}
