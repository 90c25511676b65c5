/// What each connection has sent and what has been read of it, and which are to be ended. Pure but for asking the
/// counters.
struct IntakeLedger {
  private struct Connection {
    let counter: ConnectionCounter
    /// Of the socket whose monitor has told of it.
    let monitor: Int
    /// Bytes of the messages that have been read, as they were on the wire.
    var read = 0
    /// What had come and was not read when it was last looked at.
    var held = 0
    var peer: [UInt8]?
    var limit: Int
    var isStranger = true
    var hasEnded = false
  }

  let limits: IntakeLimits
  /// By descriptor.
  private var connections: [Int32: Connection] = [:]

  init(limits: IntakeLimits) { self.limits = limits }

  var isEmpty: Bool { connections.isEmpty }
  var count: Int { connections.count }

  mutating func accepted(_ counter: ConnectionCounter, monitor: Int) {
    guard connections[counter.descriptor]?.counter.cookie != counter.cookie else { return }
    connections[counter.descriptor] = Connection(
      counter: counter, monitor: monitor, limit: limits.strangerBytes)
  }

  /// A descriptor of a socket's connections was closed. Of another socket it may be in use already.
  ///
  /// - Returns: whose connection it was; the inner nil of one over which nothing was read, the outer of one that is not
  ///   counted, as those of this machine's own socket files.
  mutating func closed(_ descriptor: Int32, monitor: Int) -> [UInt8]?? {
    guard let connection = connections[descriptor], connection.monitor == monitor else { return nil }
    connections[descriptor] = nil
    return .some(connection.peer)
  }

  /// A message was read, of so many bytes on the wire. Where a number has come to be another connection's meanwhile,
  /// that one is credited with no more than it has sent: `overdue` sees to that.
  mutating func read(_ byteCount: Int, from descriptor: Int32, peer: [UInt8]) {
    guard connections[descriptor] != nil else { return }
    connections[descriptor]?.read += byteCount
    connections[descriptor]?.peer = peer
  }

  /// A peer has been welcomed as a worker.
  mutating func welcome(_ peer: [UInt8]) {
    for descriptor in connections.keys where connections[descriptor]?.peer == peer {
      connections[descriptor]?.isStranger = false
      connections[descriptor]?.limit = limits.workerBytes
    }
  }

  /// Ends the connections that hold more than they may, alone or together with others.
  mutating func enforce() -> [IntakeExcess] {
    var excesses: [IntakeExcess] = []
    for descriptor in connections.keys {
      guard var connection = connections[descriptor], !connection.hasEnded else { continue }
      guard let received = connection.counter.receivedBytes else {
        connections[descriptor] = nil
        continue
      }
      connection.read = min(connection.read, received)
      connection.held = received - connection.read
      connections[descriptor] = connection
      if connection.held > connection.limit {
        excesses.append(end(descriptor, connection.limit))
      }
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
    return IntakeExcess(peer: connection?.peer, bytes: connection?.held ?? 0, limit: limit)
  }
}
