import CZeroMQ
import Protocol

/// A worker's socket: one connection to the coordinator. A new session needs a new Dealer, because the coordinator
/// does not know a connection again that ZeroMQ has restored. Belongs to one thread; only its `Waker` is for others.
public final class Dealer {
  private let socket: Socket
  private var sent: UInt64 = 0
  private var lastReceived: UInt64 = 0

  /// Begins to connect; whether somebody listens there shows only in answers.
  ///
  /// - Parameter endpoint: `tcp://HOST:PORT` or `ipc://PATH`
  /// - Throws: `TransportError` if that is not an address.
  public init(
    connect endpoint: String, waker: Waker, options: TransportOptions = TransportOptions()
  ) throws(TransportError) {
    socket = try Socket(type: ZMQ_DEALER, waker: waker, options: options)
    try socket.set(ZMQ_RECONNECT_IVL, 100)
    try socket.set(ZMQ_RECONNECT_IVL_MAX, 2000)
    try socket.connect(endpoint)
  }

  /// Waits until a message or a wake comes, at most `timeout` seconds, and returns what is there, in order.
  public func poll(timeout: Double) throws(TransportError) -> [Received] {
    try socket.wait(seconds: timeout)
    var all: [Received] = []
    while all.count < socket.options.messagesPerPoll, let received = try receive() { all.append(received) }
    return all
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
      type: message.type, term: term, session: session, sequence: sent + 1, correlation: correlation)
    try socket.send(try EncodedMessage.checked(message, envelope, socket.options.limits), to: nil)
    sent += 1
  }

  /// Closes. With `flushing`, what was sent goes out first, for the linger time at most.
  public func close(flushing: Bool) {
    if !flushing { try? socket.set(ZMQ_LINGER, 0) }
    socket.close()
  }
}
