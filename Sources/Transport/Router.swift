import CZeroMQ
import Protocol

/// The coordinator's sockets: they listen on any number of addresses and know each worker's connection by its routing
/// id. With keys, everything on tcp is encrypted, and only workers whose keys are allowed get through; ipc, for the
/// coordinator's own workers, is without, on a socket of its own. Belongs to one thread; only its `Waker` is for others.
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
    /// What the peer is known to read.
    var minor = ProtocolVersion.oldestMinor
  }

  private let waker: Waker
  private let plain: Socket
  /// The socket with keys, and who decides about them.
  private let secured: (socket: Socket, authenticator: Authenticator)?
  private var counters: [PeerID: Counters] = [:]
  /// The addresses that are listened on, with the ports that were chosen.
  public private(set) var boundEndpoints: [String] = []

  /// - Parameter security: keys for every tcp address; nil for none.
  public init(
    waker: Waker, security: ServerSecurity? = nil, options: TransportOptions = TransportOptions()
  ) throws(TransportError) {
    self.waker = waker
    let context = try Context()
    plain = try Socket(type: ZMQ_ROUTER, context: context, options: options)
    if let security {
      let authenticator = try Authenticator(
        context: context, allowedKeys: security.allowedKeys, waker: waker)
      let socket = try Socket(
        type: ZMQ_ROUTER, context: context, security: .server(security.secretKey), options: options)
      secured = (socket, authenticator)
    } else {
      secured = nil
    }
    // Sending to a peer that is gone is an error instead of silence.
    try plain.set(ZMQ_ROUTER_MANDATORY, 1)
    try secured?.socket.set(ZMQ_ROUTER_MANDATORY, 1)
  }

  deinit { close() }

  /// Listens on `tcp://ADDRESS:PORT` or `ipc://PATH`; returns the endpoint, with the chosen port if it was 0.
  ///
  /// - Throws: `TransportError` that names the address and the remedy.
  @discardableResult public func bind(_ endpoint: String) throws(TransportError) -> String {
    // Whatever is not this machine's own file system has the keys, if there are any.
    let socket = endpoint.hasPrefix("ipc://") ? plain : secured?.socket ?? plain
    let bound = try socket.bind(endpoint)
    boundEndpoints.append(bound)
    return bound
  }

  /// Waits until a message or a wake comes, at most `timeout` seconds, and returns what is there, in order.
  ///
  /// - Throws: `TransportError`, also if the authentication has ended; nobody could join any more.
  public func poll(timeout: Double) throws(TransportError) -> [(peer: PeerID, received: Received)] {
    try Context.wait(
      for: [plain.handle, secured?.socket.handle].compactMap(\.self), waker: waker, seconds: timeout)
    if let failure = secured?.authenticator.failure { throw failure }
    var all: [(peer: PeerID, received: Received)] = []
    var isEmpty = false
    // In turn, so that neither side can starve the other.
    while all.count < plain.options.messagesPerPoll && !isEmpty {
      isEmpty = true
      for lane in [PeerID.Lane.plain, .secured] {
        guard all.count < plain.options.messagesPerPoll, let socket = socket(of: lane),
          let one = try receive(from: socket, lane)
        else { continue }
        isEmpty = false
        all.append(one)
      }
    }
    return all
  }

  private func socket(of lane: PeerID.Lane) -> Socket? {
    switch lane {
    case .plain: plain
    case .secured: secured?.socket
    }
  }

  private func receive(
    from socket: Socket, _ lane: PeerID.Lane
  ) throws(TransportError) -> (peer: PeerID, received: Received)? {
    let first = try socket.receiveFrame { bytes, isLast, _ in
      (peer: PeerID(lane, routingID: bytes), isLast: isLast)
    }
    guard let (peer, isLast) = first else { return nil }
    if isLast { return (peer, .failure(ProtocolError(.frames, "the message has no frames"))) }
    guard let received = try socket.receiveMessage(needsKey: lane == .secured) else { return nil }
    return (peer, check(peer, received))
  }

  /// Connections that were refused since the last call: the first few that differ, and how many in all.
  public func takeRefusals() -> (refusals: [Refusal], count: Int) {
    secured?.authenticator.takeRefusals() ?? ([], 0)
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
    counters[peer, default: Counters()].minor = min(envelope.minor, ProtocolVersion.minor)
    return received
  }

  /// Sends without waiting.
  ///
  /// - Throws: `TransportError`: `unreachable` if the peer has no connection, `congested` if it does not take its
  ///   messages, `message` if the message is over the limits. Nothing has been sent then.
  public func send(
    _ message: Message, to peer: PeerID, term: UInt64, session: SessionID, correlation: UInt64 = 0
  ) throws(TransportError) {
    guard let socket = peer.lane.flatMap(socket(of:)) else {
      throw TransportError(.unreachable, "worker connection \(peer) is not connected")
    }
    let peerCounters = counters[peer, default: Counters()]
    let sequence = peerCounters.sent + 1
    let envelope = Envelope(
      type: message.type, minor: peerCounters.minor, term: term, session: session, sequence: sequence,
      correlation: correlation)
    try socket.send(try EncodedMessage.checked(message, envelope, socket.options.limits), to: peer)
    counters[peer, default: Counters()].sent = sequence
  }

  /// Forgets the counters of a peer that will not be heard again.
  public func forget(_ peer: PeerID) { counters[peer] = nil }

  /// Lets what was sent go out for the linger time at most, and closes.
  public func close() {
    plain.close()
    secured?.socket.close()
    secured?.authenticator.close()
  }
}

extension PeerID {
  /// The socket that a connection belongs to. It is the first byte of the id, so that a peer of one socket cannot
  /// bear, or choose, the id of a peer of the other.
  enum Lane: UInt8 {
    case plain = 0
    case secured = 1
  }

  init(_ lane: Lane, routingID: UnsafeRawBufferPointer) { self.init([lane.rawValue] + Array(routingID)) }

  var lane: Lane? { bytes.first.flatMap(Lane.init) }
  var routingID: ArraySlice<UInt8> { bytes.dropFirst() }

  /// Whether the peer came in with a key, from wherever; without one it is of this machine, or of any if there are no
  /// keys.
  public var hasKey: Bool { lane == .secured }
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
