import CZeroMQ
import Protocol

/// The coordinator's socket: it listens on any number of addresses and knows each worker's connection by its routing
/// id. Belongs to one thread; only its `Waker` is for others.
///
///     let router = try Router(waker: waker)
///     let endpoint = try router.bind("tcp://127.0.0.1:0")
///     for (peer, received) in try router.poll(timeout: 1) { … }
public final class Router {
  /// Connections whose sequence numbers are kept; a message over any further one is refused.
  private static let maximumPeers = 65_536

  private struct Counters {
    var sent: UInt64 = 0
    var received: UInt64 = 0
  }

  private let socket: Socket
  private var counters: [PeerID: Counters] = [:]
  /// The addresses that are listened on, with the ports that were chosen.
  public private(set) var boundEndpoints: [String] = []

  public init(waker: Waker, options: TransportOptions = TransportOptions()) throws(TransportError) {
    socket = try Socket(type: ZMQ_ROUTER, waker: waker, options: options)
    // Sending to a peer that is gone is an error instead of silence.
    try socket.set(ZMQ_ROUTER_MANDATORY, 1)
  }

  /// Listens on `tcp://ADDRESS:PORT` or `ipc://PATH`; returns the endpoint, with the chosen port if it was 0.
  ///
  /// - Throws: `TransportError` that names the address and the remedy.
  @discardableResult public func bind(_ endpoint: String) throws(TransportError) -> String {
    let bound = try socket.bind(endpoint)
    boundEndpoints.append(bound)
    return bound
  }

  /// Waits until a message or a wake comes, at most `timeout` seconds, and returns what is there, in order.
  public func poll(timeout: Double) throws(TransportError) -> [(peer: PeerID, received: Received)] {
    try socket.wait(seconds: timeout)
    var all: [(peer: PeerID, received: Received)] = []
    while all.count < socket.options.messagesPerPoll {
      let first = try socket.receiveFrame { bytes, isLast in (peer: PeerID(Array(bytes)), isLast: isLast) }
      guard let first else { break }
      if first.isLast {
        all.append((first.peer, .failure(ProtocolError(.frames, "the message has no frames"))))
      } else if let received = try socket.receiveMessage() {
        all.append((first.peer, check(first.peer, received)))
      }
    }
    return all
  }

  /// A message that comes twice or out of order is refused, whatever it says.
  private func check(_ peer: PeerID, _ received: Received) -> Received {
    guard case .success((let envelope, _)) = received else { return received }
    guard counters[peer] != nil || counters.count < Router.maximumPeers else {
      return .failure(ProtocolError(.limit, "more than \(Router.maximumPeers) connections"))
    }
    let last = counters[peer, default: Counters()].received
    guard envelope.sequence > last else {
      return .failure(ProtocolError(.sequence, "number \(envelope.sequence) came after \(last)"))
    }
    counters[peer, default: Counters()].received = envelope.sequence
    return received
  }

  /// Sends without waiting.
  ///
  /// - Throws: `TransportError`: `unreachable` if the peer has no connection, `congested` if it does not take its
  ///   messages, `message` if the message is over the limits. Nothing has been sent then.
  public func send(
    _ message: Message, to peer: PeerID, term: UInt64, session: SessionID, correlation: UInt64 = 0
  ) throws(TransportError) {
    let sequence = counters[peer, default: Counters()].sent + 1
    let envelope = Envelope(
      type: message.type, term: term, session: session, sequence: sequence, correlation: correlation)
    try socket.send(try EncodedMessage.checked(message, envelope, socket.options.limits), to: peer)
    counters[peer, default: Counters()].sent = sequence
  }

  /// Forgets the counters of a peer that will not be heard again.
  public func forget(_ peer: PeerID) { counters[peer] = nil }

  /// Lets what was sent go out for the linger time at most, and closes.
  public func close() { socket.close() }
}

extension EncodedMessage {
  static func checked(
    _ message: Message, _ envelope: Envelope, _ limits: WireLimits
  ) throws(TransportError) -> EncodedMessage {
    do throws(ProtocolError) {
      return try EncodedMessage(message, envelope: envelope, limits: limits)
    } catch {
      throw TransportError(.message, error.reason)
    }
  }
}
