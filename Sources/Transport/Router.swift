import CZeroMQ
import WireProtocol

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
  /// How often peers are looked at of which nothing has come, for transfers that do not move, in seconds.
  private static let sweepSeconds = 0.5

  private let waker: Waker
  private let plain: Socket
  /// The socket with keys, and who decides about them.
  private let secured: (socket: Socket, authenticator: Authenticator)?
  private let watch: ConnectionWatch
  private var lostConnections = LostConnections()
  private let options: TransportOptions
  private let kept: KeptObjects
  /// Those with which a connection may speak, as text.
  private var allowedKeys: AllowedKeys
  private var links: [PeerID: Link] = [:]
  private var keys: [PeerID: String] = [:]
  /// Peers with a transfer under way, or a message that waits for one.
  private var busy = Set<PeerID>()
  /// Those of them for which something may be due now: something has come or was to be sent, or there was no room.
  private var touched = Set<PeerID>()
  /// When all of them were last looked at, whatever has happened.
  private var lastSweep = monotonicSeconds()
  private var lastPoll = monotonicSeconds()
  /// Judges a result that is offered, before its bytes are sent. Whether one that is held may come is said by `decide`.
  public var resultJudge: ((PeerID, Envelope, ResultMessage) -> OfferVerdict)?
  /// The addresses that are listened on, with the ports that were chosen.
  public private(set) var boundEndpoints: [String] = []

  /// The most messages that one `poll` returns; if so many came, more may be waiting.
  public var messagesPerPoll: Int { options.messagesPerPoll }

  /// - Parameter security: keys for every tcp address; nil for none.
  public init(
    waker: Waker, security: ServerSecurity? = nil, options: TransportOptions = TransportOptions()
  ) throws(TransportError) {
    self.waker = waker
    self.options = options
    kept = KeptObjects(settings: options.transfers)
    allowedKeys = AllowedKeys((security?.allowedKeys ?? [:]).keys.map(\.description))
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
    watch = try ConnectionWatch(
      of: [plain, secured?.socket].compactMap(\.self), context: context, limits: options.intake, waker: waker)
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
    let bound = try watch.listen { () throws(TransportError) in try socket.bind(endpoint) }
    boundEndpoints.append(bound)
    return bound
  }

  /// Waits until a message, a wake or the end of a connection comes, at most `timeout` seconds, and returns what is there, in order. Transfers go
  /// on meanwhile; of these there is a `Message.transfer` for every message that came, as a sign of life, and in the end
  /// the message that was transferred. A peer whose transfer does not move any more is a failure.
  ///
  /// - Throws: `TransportError`, also if the authentication has ended; nobody could join any more.
  public func poll(timeout: Double) throws(TransportError) -> [(peer: PeerID, received: Received)] {
    let begun = monotonicSeconds()
    excuse(begun - lastPoll)
    try Context.wait(
      for: [plain.handle, secured?.socket.handle].compactMap(\.self), waker: waker, seconds: timeout)
    var all = takeExcesses()
    excuse(monotonicSeconds() - begun - timeout)
    if let failure = secured?.authenticator.failure ?? watch.failure { throw failure }
    var isEmpty = false
    // In turn, so that neither side can starve the other.
    while all.count < options.messagesPerPoll && !isEmpty {
      isEmpty = true
      for lane in [PeerID.Lane.plain, .secured] {
        guard all.count < options.messagesPerPoll, let socket = socket(of: lane),
          let one = try receive(from: socket, lane)
        else { continue }
        isEmpty = false
        all.append(one)
      }
    }
    return all + pumpAll()
  }

  /// Connections that have ended since this was last asked. A little later sending to such a peer fails.
  public func takeLostConnections() -> LostConnections {
    defer { lostConnections = LostConnections() }
    return lostConnections
  }

  /// Workers whose long messages have moved since this was last asked, in no order. A message is seen by no `poll` before
  /// it is whole.
  public func takeMoving() -> MovingMessages {
    let moving = watch.takeMoving()
    let now = monotonicSeconds()
    for peer in moving.arriving + moving.leaving { links[peer]?.noteMovement(now: now) }
    return moving
  }

  /// Hears of connections that have ended, and of peers whose connection was ended because of what they sent.
  private func takeExcesses() -> [(peer: PeerID, received: Received)] {
    let (lost, excesses) = watch.take()
    lostConnections.add(lost)
    return excesses.compactMap { excess in
      guard let bytes = excess.peer else { return nil }
      let reason = "\(excess.bytes) bytes came that are no whole message yet; the limit is \(excess.limit)"
      return (PeerID(bytes), .failure(ProtocolError(.limit, reason)))
    }
  }

  /// Time in which this process itself stood still is nobody's stall.
  private func excuse(_ pause: Double) {
    guard pause > Link.excusedPause else { return }
    for peer in busy { links[peer]?.excuse(pause) }
  }

  private func noteWork(of peer: PeerID) {
    busy.insert(peer)
    touched.insert(peer)
  }

  /// Moves every transfer as far as it goes; returns the peers that are lost by it.
  private func pumpAll() -> [(peer: PeerID, received: Received)] {
    let now = monotonicSeconds()
    lastPoll = now
    kept.expire(now: now)
    LargeMemory.expire()
    var lost: [(peer: PeerID, received: Received)] = []
    // Not all of them each time, so that no message costs more the more peers there are.
    let isSweep = now - lastSweep >= Self.sweepSeconds
    if isSweep { lastSweep = now }
    let peers = isSweep ? busy : touched
    touched = []
    for peer in peers {
      var failure: ProtocolError?
      do throws(TransportError) {
        try pump(peer)
        for (word, offered) in links[peer]?.words(now: now) ?? [] {
          try transmit(PreparedMessage(.transfer(word)), Address(answering: offered), to: peer)
        }
      } catch {
        failure = ProtocolError(.transfer, error.description)
      }
      if let failure = failure ?? links[peer]?.stall(now: now) {
        lost.append((peer, .failure(failure)))
        endTransfers(of: peer)
      } else if links[peer]?.isIdle ?? true {
        busy.remove(peer)
      }
    }
    return lost
  }

  /// Lets a result come that a peer has offered for an attempt and that is held, or refuses it.
  ///
  /// - Throws: `TransportError` if the peer cannot be told.
  public func decide(
    _ peer: PeerID, attempt: Int, of work: RunTerm, _ verdict: OfferVerdict
  ) throws(TransportError) {
    guard
      let (answers, offered) = links[peer]?.decide(
        attempt: attempt, of: work, verdict, now: monotonicSeconds())
    else { return }
    noteWork(of: peer)
    for answer in answers {
      try transmit(PreparedMessage(.transfer(answer)), Address(answering: offered), to: peer)
    }
  }

  /// Sends what is due of a peer's transfers, and what waits for them.
  private func pump(_ peer: PeerID) throws(TransportError) {
    while let next = links[peer]?.sender.next() {
      do throws(TransportError) { try transmit(next.message, next.address, to: peer) } catch {
        // Its turn comes again with the next poll; if that lasts, it is a stall.
        if error.kind == .congested {
          touched.insert(peer)
          return
        }
        throw error
      }
      links[peer]?.sender.sent(now: monotonicSeconds())
    }
  }

  /// A peer that failed has no transfers any more; its counters stay.
  private func endTransfers(of peer: PeerID) {
    busy.remove(peer)
    touched.remove(peer)
    links[peer]?.dropTransfers(now: monotonicSeconds())
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
    if let origin = socket.origin { watch.read(origin.byteCount, from: origin.descriptor, peer: peer) }
    if lane == .secured, let error = socket.senderKey.flatMap(allowedKeys.objection) {
      return (peer, .failure(error))
    }
    // It stays the same for a connection, and only HELLO asks for it.
    if lane == .secured, case .success((let envelope, _)) = received, envelope.type == .hello {
      keys[peer] = socket.senderKey
    }
    return (peer, take(received, of: peer))
  }

  /// The public key with which a peer was let in, once it has said HELLO; nil if it has none.
  public func key(of peer: PeerID) -> String? { keys[peer] }

  /// Changes who may join. Of a connection whose key is not among these nothing is listened to any more: whatever it
  /// says next is a failure.
  public func allow(_ keys: [PublicKey: String]) {
    allowedKeys = AllowedKeys(keys.keys.map(\.description))
    secured?.authenticator.allow(keys)
  }

  /// Connections that were refused since the last call: the first few that differ, and how many in all.
  public func takeRefusals() -> (refusals: [Refusal], count: Int) {
    secured?.authenticator.takeRefusals() ?? ([], 0)
  }

  /// Holds a message to its sequence, and gives it to the transfers if it belongs to one.
  private func take(_ received: Received, of peer: PeerID) -> Received {
    guard case .success((let envelope, let message)) = received else { return received }
    guard links[peer] != nil || links.count < Router.maximumPeers else {
      return .failure(ProtocolError(.limit, "more than \(Router.maximumPeers) connections"))
    }
    do throws(ProtocolError) {
      try links[peer, default: newLink].admit(envelope)
      guard case .transfer(let transfer) = message else { return received }
      let judge = resultJudge.map { judge in
        { (envelope: Envelope, result: ResultMessage) in judge(peer, envelope, result) }
      }
      let outcome = try links[peer, default: newLink].take(
        transfer, envelope, now: monotonicSeconds(), judge: judge)
      for answer in outcome.answers { try reply(answer, to: envelope, of: peer) }
      noteWork(of: peer)
      return outcome.completed.map { .success($0) } ?? received
    } catch {
      if error.kind != .sequence { endTransfers(of: peer) }
      return .failure(error)
    }
  }

  private var newLink: Link {
    Link(outgoing: .parameters, options: options, kept: kept)
  }

  private func reply(_ answer: TransferMessage, to envelope: Envelope, of peer: PeerID) throws(ProtocolError)
  {
    do throws(TransportError) {
      try transmit(PreparedMessage(.transfer(answer)), Address(answering: envelope), to: peer)
    } catch {
      throw ProtocolError(.transfer, error.description)
    }
  }

  /// Sends without waiting. A message with large objects goes as the peer takes it, while `poll` is called; what must
  /// not overtake it waits behind it, all else goes at once.
  ///
  /// - Throws: `TransportError`: `unreachable` if the peer has no connection, `congested` if it does not take its
  ///   messages, `message` if the message is over the limits. Nothing has been sent then.
  public func send(
    _ message: Message, to peer: PeerID, of work: RunTerm, session: SessionID, correlation: UInt64 = 0
  ) throws(TransportError) {
    let address = Address(work: work, session: session, correlation: correlation)
    guard let prepared = try links[peer]?.waits(for: message, options) else {
      return try transmit(PreparedMessage(message), address, to: peer)
    }
    try links[peer]?.sender.add(prepared, address, now: monotonicSeconds())
    noteWork(of: peer)
    try pump(peer)
  }

  private func transmit(
    _ message: PreparedMessage, _ address: Address, to peer: PeerID
  ) throws(TransportError) {
    guard let socket = peer.lane.flatMap(socket(of:)) else {
      throw TransportError(.unreachable, "the worker is not connected")
    }
    let link = links[peer] ?? newLink
    mayBegin(message.message, peer, link)
    try socket.send(try link.encode(message, address, options.limits), to: peer)
    links[peer, default: newLink].hasSent()
  }

  /// Whoever is welcomed, or is given credit, may send more from now on.
  private func mayBegin(_ message: Message, _ peer: PeerID, _ link: Link) {
    switch message {
    case .welcome: watch.welcome(peer)
    case .transfer(let transfer):
      guard case .credit = transfer.content, !link.hasCredit else { return }
      watch.welcome(peer)
      links[peer]?.hasCredit = true
    default: break
    }
  }

  /// The transfers that are under way.
  public var transfers: [(peer: PeerID, status: TransferStatus)] {
    let now = monotonicSeconds()
    return busy.flatMap { peer in (links[peer]?.transfers(now: now) ?? []).map { (peer, $0) } }
  }

  /// Forgets a peer that will not be heard again, with what was to be sent to it.
  public func forget(_ peer: PeerID) {
    links[peer]?.dropTransfers(now: monotonicSeconds())
    links[peer] = nil
    keys[peer] = nil
    busy.remove(peer)
    touched.remove(peer)
  }

  /// Lets what was sent go out for the linger time at most, and closes.
  public func close() {
    plain.close()
    secured?.socket.close()
    secured?.authenticator.close()
    watch.close()
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
