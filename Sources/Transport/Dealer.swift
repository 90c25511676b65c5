import CZeroMQ
import Protocol

/// A worker's socket: one connection to the coordinator. A new session needs a new Dealer, because the coordinator
/// does not know a connection again that ZeroMQ has restored. Belongs to one thread; only its `Waker` is for others.
public final class Dealer {
  private let socket: Socket
  private let monitor: HandshakeMonitor
  private let waker: Waker
  private let minor: UInt8
  private var sent: UInt64 = 0
  private var lastReceived: UInt64 = 0
  private var handshakeFailure: HandshakeFailure?

  /// Begins to connect; whether somebody listens there shows only in answers.
  ///
  /// - Parameters:
  ///   - endpoint: `tcp://HOST:PORT` or `ipc://PATH`
  ///   - security: keys, for a coordinator that has some
  ///   - minor: the minor version to speak
  /// - Throws: `TransportError` if that is not an address.
  public init(
    connect endpoint: String, waker: Waker, security: ClientSecurity? = nil,
    minor: UInt8 = ProtocolVersion.minor, options: TransportOptions = TransportOptions()
  ) throws(TransportError) {
    let context = try Context()
    self.waker = waker
    self.minor = minor
    socket = try Socket(
      type: ZMQ_DEALER, context: context, security: security.map { .client($0) } ?? .none, options: options)
    guard let handle = socket.handle else { throw TransportError(.system, "the socket is closed") }
    monitor = try HandshakeMonitor(of: handle, context: context)
    try socket.set(ZMQ_RECONNECT_IVL, 100)
    try socket.set(ZMQ_RECONNECT_IVL_MAX, 2000)
    try socket.connect(endpoint)
  }

  deinit { close(flushing: false) }

  /// Waits until a message, a wake or a failed handshake comes, at most `timeout` seconds, and returns the messages
  /// that are there, in order.
  public func poll(timeout: Double) throws(TransportError) -> [Received] {
    try Context.wait(
      for: [socket.handle, monitor.handle].compactMap(\.self), waker: waker, seconds: timeout)
    if let failure = monitor.take().last { handshakeFailure = failure }
    var all: [Received] = []
    while all.count < socket.options.messagesPerPoll, let received = try receive() { all.append(received) }
    return all
  }

  /// How the last handshake failed, if `poll` has heard of one since this was last asked.
  public func takeHandshakeFailure() -> HandshakeFailure? {
    defer { handshakeFailure = nil }
    return handshakeFailure
  }

  private func receive() throws(TransportError) -> Received? {
    guard let received = try socket.receiveMessage() else { return nil }
    guard case .success((let envelope, _)) = received else { return received }
    guard envelope.sequence > lastReceived else {
      return .failure(ProtocolError(.sequence, "number \(envelope.sequence) came after \(lastReceived)"))
    }
    lastReceived = envelope.sequence
    return received
  }

  /// Sends without waiting; what is sent before the connection stands waits for it.
  ///
  /// - Throws: `TransportError`: `congested` if the coordinator does not take its messages, `message` if the message
  ///   is over the limits. Nothing has been sent then.
  public func send(
    _ message: Message, term: UInt64, session: SessionID, correlation: UInt64 = 0
  ) throws(TransportError) {
    let envelope = Envelope(
      type: message.type, minor: minor, term: term, session: session, sequence: sent + 1,
      correlation: correlation)
    try socket.send(try EncodedMessage.checked(message, envelope, socket.options.limits), to: nil)
    sent += 1
  }

  /// Closes. With `flushing`, what was sent goes out first, for the linger time at most.
  public func close(flushing: Bool) {
    if !flushing { try? socket.set(ZMQ_LINGER, 0) }
    socket.close()
    monitor.close()
  }
}
