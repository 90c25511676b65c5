import CZeroMQ
import WireProtocol

/// A worker's socket: one connection to the coordinator. A new session needs a new Dealer, because the coordinator
/// does not know a connection again that ZeroMQ has restored. Belongs to one thread; only its `Waker` is for others.
public final class Dealer {
  private let socket: Socket
  private let monitor: SocketMonitor
  private let waker: Waker
  private let kept: KeptObjects
  private var link: Link
  private var lastPoll = monotonicSeconds()
  private var handshakeFailure: HandshakeFailure?
  private var hasReceived = false
  private var isBroken = false
  private let port: UInt16?
  /// Of the connection that there is; nil if it is not over tcp.
  private var counter: ConnectionCounter?
  /// Bytes that had come over it when that was last asked.
  private var seenBytes = 0
  /// Bytes that had moved over it when the transfers were last seen to, and when that is due again.
  private var movedBytes = ConnectionCounter.Bytes()
  private var nextLook = 0.0

  /// Begins to connect; whether somebody listens there shows only in answers.
  ///
  /// - Parameters:
  ///   - endpoint: `tcp://HOST:PORT` or `ipc://PATH`
  ///   - security: keys, for a coordinator that has some
  ///   - kept: what came over earlier connections and was not whole
  /// - Throws: `TransportError` if that is not an address.
  public init(
    connect endpoint: String, waker: Waker, security: ClientSecurity? = nil,
    options: TransportOptions = TransportOptions(), kept: KeptObjects = KeptObjects()
  ) throws(TransportError) {
    let context = try Context()
    self.waker = waker
    link = Link(outgoing: .result, options: options, kept: kept)
    self.kept = kept
    port = endpoint.hasPrefix("tcp://") ? endpoint.split(separator: ":").last.flatMap { UInt16($0) } : nil
    socket = try Socket(
      type: ZMQ_DEALER, context: context, security: security.map { .client($0) } ?? .none, options: options)
    guard let handle = socket.handle else { throw TransportError(.system, "the socket is closed") }
    monitor = try SocketMonitor(of: handle, context: context, name: "dealer", hears: .made)
    try socket.set(ZMQ_RECONNECT_IVL, 100)
    try socket.set(ZMQ_RECONNECT_IVL_MAX, 2000)
    try socket.connect(endpoint)
  }

  deinit { close(flushing: false) }

  /// Waits until a message, a wake, a failed handshake or the end of the connection comes, at most `timeout` seconds, and returns the messages
  /// that are there, in order. Transfers go on meanwhile; of these there is a `Message.transfer` for every message that
  /// came, as a sign of life, and in the end the message that was transferred.
  public func poll(timeout: Double) throws(TransportError) -> [Received] {
    let begun = monotonicSeconds()
    excuse(begun - lastPoll)
    var left = timeout
    repeat {
      try Context.wait(
        for: [socket.handle, monitor.handle].compactMap(\.self), waker: waker, seconds: left)
      left = timeout - (monotonicSeconds() - begun)
    } while hear() && left > 0
    excuse(-left)
    var all: [Received] = []
    while all.count < socket.options.messagesPerPoll, let received = try receive() { all.append(received) }
    let now = monotonicSeconds()
    lastPoll = now
    kept.expire(now: now)
    LargeMemory.expire()
    do throws(TransportError) { try pump() } catch {
      all.append(.failure(ProtocolError(.transfer, error.description)))
    }
    noteMovement(now: now)
    if let stall = link.stall(now: now) { all.append(.failure(stall)) }
    return all
  }

  /// Looks now and then whether more than small messages has moved, while there are transfers.
  private func noteMovement(now: Double) {
    guard now >= nextLook, !transfers.isEmpty, let bytes = counter?.bytes else { return }
    nextLook = now + MovingMessages.period
    let moved = max(bytes.received - movedBytes.received, bytes.acknowledged - movedBytes.acknowledged)
    movedBytes = bytes
    if moved >= MovingMessages.leastBytes { link.noteMovement(now: now) }
  }

  /// What became of the connection.
  ///
  /// - Returns: whether no more has happened than that one was made, which is nobody's news.
  private func hear() -> Bool {
    let events = monitor.take()
    for event in events {
      switch event {
      case .handshakeFailed(let failure): handshakeFailure = failure
      // Before anything came it is an attempt that failed; ZeroMQ makes the next by itself.
      case .disconnected:
        isBroken = isBroken || hasReceived
        counter = nil
      case .connected(let descriptor):
        counter = port.flatMap { ConnectionCounter(descriptor: descriptor, to: $0) }
        (seenBytes, movedBytes) = (0, ConnectionCounter.Bytes())
      case .accepted: break
      }
    }
    return !events.isEmpty && events.allSatisfy { if case .connected = $0 { true } else { false } }
  }

  /// Time in which this process itself stood still is nobody's stall.
  private func excuse(_ pause: Double) { if pause > Link.excusedPause { link.excuse(pause) } }

  /// How the last handshake failed, if `poll` has heard of one since this was last asked.
  public func takeHandshakeFailure() -> HandshakeFailure? {
    defer { handshakeFailure = nil }
    return handshakeFailure
  }

  /// Whether the connection, over which messages had come, has ended since this was last asked. ZeroMQ connects again,
  /// but the coordinator does not know the new connection.
  public func takeBreak() -> Bool {
    defer { isBroken = false }
    return isBroken
  }

  /// Whether anything has come over a tcp connection since this was last asked, were it part of a message that `poll` does
  /// not see before it is whole.
  public func takeArriving() -> Bool {
    guard let bytes = counter?.bytes?.received else { return false }
    defer { seenBytes = bytes }
    return bytes > seenBytes
  }

  private func receive() throws(TransportError) -> Received? {
    guard let received = try socket.receiveMessage() else { return nil }
    hasReceived = true
    guard case .success((let envelope, let message)) = received else { return received }
    do throws(ProtocolError) {
      try link.admit(envelope)
      guard case .transfer(let transfer) = message else { return received }
      let outcome = try link.take(transfer, envelope, now: monotonicSeconds(), judge: nil)
      for answer in outcome.answers { try reply(answer, to: envelope) }
      return outcome.completed.map { .success($0) } ?? received
    } catch {
      return .failure(error)
    }
  }

  private func reply(_ answer: TransferMessage, to envelope: Envelope) throws(ProtocolError) {
    do throws(TransportError) {
      try transmit(PreparedMessage(.transfer(answer)), Address(answering: envelope))
    } catch {
      throw ProtocolError(.transfer, error.description)
    }
  }

  /// Sends without waiting; what is sent before the connection stands waits for it. A message with large objects goes
  /// as the coordinator takes it, while `poll` is called; what must not overtake it waits behind it.
  ///
  /// - Throws: `TransportError`: `congested` if the coordinator does not take its messages, `message` if the message
  ///   is over the limits. Nothing has been sent then.
  public func send(
    _ message: Message, of work: RunTerm, session: SessionID, correlation: UInt64 = 0
  ) throws(TransportError) {
    let address = Address(work: work, session: session, correlation: correlation)
    guard let prepared = try link.waits(for: message, socket.options) else {
      return try transmit(PreparedMessage(message), address)
    }
    try link.sender.add(prepared, address, now: monotonicSeconds())
    try pump()
  }

  private func transmit(_ message: PreparedMessage, _ address: Address) throws(TransportError) {
    try socket.send(try link.encode(message, address, socket.options.limits), to: nil)
    link.hasSent()
  }

  /// Sends what is due of transfers, and what waits for them.
  private func pump() throws(TransportError) {
    while let next = link.sender.next() {
      do throws(TransportError) { try transmit(next.message, next.address) } catch {
        // Its turn comes again with the next poll; if that lasts, it is a stall.
        if error.kind == .congested { return }
        throw error
      }
      link.sender.sent(now: monotonicSeconds())
    }
  }

  /// Whether nothing that was to be sent waits for the coordinator to take it.
  public var isIdle: Bool { link.sender.isIdle }

  /// The transfers that are under way.
  public var transfers: [TransferStatus] { link.transfers(now: monotonicSeconds()) }

  /// Closes. With `flushing`, what was sent goes out first: transfers for the drain time at most, the rest for the
  /// linger time.
  public func close(flushing: Bool) {
    link.dropIncoming(now: monotonicSeconds())
    if flushing { finishTransfers() } else { try? socket.set(ZMQ_LINGER, 0) }
    socket.close()
    monitor.close()
  }

  private func finishTransfers() {
    let end = monotonicSeconds() + socket.options.drainSeconds
    while !link.sender.isIdle, monotonicSeconds() < end {
      guard let all = try? poll(timeout: 0.1) else { return }
      for case .failure in all { return }
    }
  }
}
