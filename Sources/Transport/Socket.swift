import CZeroMQ
import WireProtocol

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How sockets behave.
public struct TransportOptions: Sendable, Equatable {
  public var limits = WireLimits()
  public var transfers = TransferSettings()
  public var intake = IntakeLimits()
  /// Messages that wait for one peer before `send` reports that it is congested.
  public var queuedMessages = 256
  /// How long `close` lets what was sent go out, in seconds.
  public var lingerSeconds = 2.0
  /// How long a worker that leaves lets its last transfers go out before that, in seconds.
  public var drainSeconds = 30.0
  /// Messages that one `poll` returns at most, so that its caller's timers are not starved.
  public var messagesPerPoll = 64

  public init() {}
}

/// A message that came, or the reason why what came is none.
public typealias Received = Result<(Envelope, Message), ProtocolError>

/// One ZeroMQ socket. Belongs to one thread.
final class Socket {
  /// The side of CURVE that a socket takes.
  enum Security {
    case none
    case server(SecretKey)
    case client(ClientSecurity)
  }

  /// What the encryption adds to a frame on the wire, with room to spare.
  private static let curveBytes = 64

  private let context: Context
  private let isEncrypted: Bool
  private(set) var handle: UnsafeMutableRawPointer?
  let options: TransportOptions
  /// The public key of the last message's sender, as the authenticator has said it; nil without keys.
  private(set) var senderKey: String?

  /// - Parameter type: ZMQ_ROUTER or ZMQ_DEALER
  init(
    type: Int32, context: Context, security: Security = .none, options: TransportOptions
  ) throws(TransportError) {
    handle = try context.open(type)
    self.context = context
    self.options = options
    isEncrypted = if case .none = security { false } else { true }
    do {
      try configure()
      try configure(security)
    } catch {
      close()
      throw error
    }
  }

  deinit { close() }

  private func configure() throws(TransportError) {
    try set(ZMQ_LINGER, Int32((options.lingerSeconds * 1000).rounded()))
    try set(ZMQ_SNDHWM, Int32(clamping: options.queuedMessages))
    try set(ZMQ_RCVHWM, Int32(clamping: options.queuedMessages))
    try set(ZMQ_TCP_KEEPALIVE, 1)
    try set(ZMQ_HANDSHAKE_IVL, 5000)
    try set(ZMQ_MAXMSGSIZE, bytes: Int64(options.limits.frameBytes))
  }

  private func configure(_ security: Security) throws(TransportError) {
    switch security {
    case .none: return
    case .server(let key):
      try set(ZMQ_CURVE_SERVER, 1)
      try set(ZMQ_CURVE_SECRETKEY, bytes: key.bytes)
      // Without a domain ZeroMQ would let anyone in who knows the public key.
      try set(ZMQ_ZAP_DOMAIN, bytes: Array(AuthenticationRequest.domain.utf8))
    case .client(let security):
      try set(ZMQ_CURVE_SERVERKEY, bytes: security.serverKey.bytes)
      try set(ZMQ_CURVE_PUBLICKEY, bytes: security.secretKey.publicKey.bytes)
      try set(ZMQ_CURVE_SECRETKEY, bytes: security.secretKey.bytes)
    }
    try set(ZMQ_MAXMSGSIZE, bytes: Int64(options.limits.frameBytes + Self.curveBytes))
  }

  func set(_ option: Int32, _ value: Int32) throws(TransportError) { try set(option, bytes: value) }

  private func set<Value: BitwiseCopyable>(_ option: Int32, bytes value: Value) throws(TransportError) {
    let result = withUnsafeBytes(of: value) { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
    guard result == 0 else { throw .last("socket option \(option) could not be set") }
  }

  private func set(_ option: Int32, bytes: [UInt8]) throws(TransportError) {
    guard zmq_setsockopt(handle, option, bytes, bytes.count) == 0 else {
      throw .last("socket option \(option) could not be set; does this libzmq have CURVE?")
    }
  }

  /// Listens; returns the endpoint with the port that was chosen for port 0.
  func bind(_ endpoint: String) throws(TransportError) -> String {
    try chooseFamily(for: endpoint)
    guard zmq_bind(handle, endpoint) == 0 else { throw .last("cannot listen on", endpoint: endpoint) }
    var text = [CChar](repeating: 0, count: 1024)
    var count = text.count
    guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &text, &count) == 0 else {
      throw .last("no endpoint is known")
    }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// IPv6 only where the address says so: otherwise "localhost" would mean ::1 alone, where a coordinator on 127.0.0.1
  /// does not listen.
  private func chooseFamily(for endpoint: String) throws(TransportError) {
    try set(ZMQ_IPV6, endpoint.contains("[") ? 1 : 0)
  }

  func connect(_ endpoint: String) throws(TransportError) {
    try chooseFamily(for: endpoint)
    guard zmq_connect(handle, endpoint) == 0 else { throw .last("cannot connect to", endpoint: endpoint) }
  }

  func close() {
    guard let open = handle else { return }
    handle = nil
    context.close(open)
  }

  /// Where the last message came from: ZeroMQ's descriptor, and how many bytes it had on the wire.
  private(set) var origin: (descriptor: Int32, byteCount: Int)?

  /// What ZMTP 3.1 adds to a frame: flags, length in one byte or eight; and with CURVE (RFC 26) the command's name, a
  /// nonce, an authenticator, and flags of its own.
  private func bytesOnWire(_ frame: Int) -> Int {
    let body = isEncrypted ? frame + 33 : frame
    return body + (body > 255 ? 9 : 2)
  }

  /// Receives one frame without waiting; nil if there is none. The frame's bytes are valid during the call, which is
  /// also told the public key with which the connection was let in (not for the routing id), if there was one.
  func receiveFrame<R>(
    isFirst: Bool = false, _ body: (UnsafeRawBufferPointer, _ isLast: Bool, _ key: UnsafePointer<CChar>?) -> R
  ) throws(TransportError) -> R? {
    var message = zmq_msg_t()
    zmq_msg_init(&message)
    defer { zmq_msg_close(&message) }
    while zmq_msg_recv(&message, handle, ZMQ_DONTWAIT) < 0 {
      switch zmq_errno() {
      case EINTR: continue
      case EAGAIN: return nil
      default: throw .last("receiving failed")
      }
    }
    let bytes = UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message))
    if isFirst { origin = (descriptor: zmq_msg_get(&message, ZMQ_SRCFD), byteCount: 0) }
    origin?.byteCount += bytesOnWire(bytes.count)
    return body(bytes, zmq_msg_more(&message) == 0, zmq_msg_gets(&message, "User-Id"))
  }

  /// Receives one message of the protocol, without waiting; nil if there is none. All of its frames are taken in any
  /// case; after an error the rest is dropped as it comes.
  func receiveMessage(needsKey: Bool = false) throws(TransportError) -> Received? {
    var decoder = MessageDecoder(limits: options.limits)
    var failure: ProtocolError?
    var isLast = false
    var hasBegun = false
    while !isLast {
      let isFirst = !hasBegun
      hasBegun = true
      let frame = try receiveFrame(isFirst: isFirst) { bytes, isLast, key in
        if isFirst { senderKey = key.map { String(cString: $0) } }
        // ZeroMQ has asked the authenticator before; this holds even if it had not.
        if needsKey && key == nil && failure == nil {
          failure = ProtocolError(.frames, "the connection's key was not checked")
        }
        if failure == nil {
          do throws(ProtocolError) { try decoder.add(frame: bytes) } catch { failure = error }
        }
        return isLast
      }
      // The parts of a message arrive together, so that only the first can be missing.
      guard let frame else { return nil }
      isLast = frame
    }
    if let failure { return .failure(failure) }
    return Result { () throws(ProtocolError) in try decoder.finish() }
  }

  /// Sends the frames of a message without waiting, behind a routing id if there is one.
  func send(_ message: EncodedMessage, to peer: PeerID?) throws(TransportError) {
    if let peer { try send(Array(peer.routingID), more: true, peer: peer) }
    for (number, frame) in message.head.enumerated() {
      try send(frame, more: number < message.head.count - 1 || message.payload != nil, peer: peer)
    }
    if let payload = message.payload { try send(payload, peer: peer) }
  }

  /// Sends a last frame, from where its bytes lie if they can be kept there until they have gone out.
  private func send(_ payload: WireSlice, peer: PeerID?) throws(TransportError) {
    guard let (bytes, owner) = payload.shared, let address = bytes.baseAddress else {
      return try send(payload.withUnsafeBytes { Array($0) }, more: false, peer: peer)
    }
    var message = zmq_msg_t()
    let held = Unmanaged.passRetained(owner).toOpaque()
    // ZeroMQ only reads what it sends, and lets go of the owner on a thread of its own.
    let result = zmq_msg_init_data(
      &message, UnsafeMutableRawPointer(mutating: address), bytes.count,
      { _, held in if let held { Unmanaged<SharedBytes>.fromOpaque(held).release() } }, held)
    guard result == 0 else {
      Unmanaged<SharedBytes>.fromOpaque(held).release()
      throw .last("there is no memory for a frame")
    }
    try send(&message, more: false, peer: peer)
  }

  private func send(_ frame: [UInt8], more: Bool, peer: PeerID?) throws(TransportError) {
    var message = zmq_msg_t()
    guard zmq_msg_init_size(&message, frame.count) == 0 else { throw .last("there is no memory for a frame") }
    UnsafeMutableRawBufferPointer(start: zmq_msg_data(&message), count: frame.count).copyBytes(from: frame)
    try send(&message, more: more, peer: peer)
  }

  private func send(_ message: inout zmq_msg_t, more: Bool, peer: PeerID?) throws(TransportError) {
    while zmq_msg_send(&message, handle, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) < 0 {
      let code = zmq_errno()
      if code == EINTR { continue }
      zmq_msg_close(&message)
      let name = peer == nil ? "the coordinator" : "the worker"
      switch code {
      case EHOSTUNREACH: throw TransportError(.unreachable, "\(name) is not connected")
      case EAGAIN:
        throw TransportError(.congested, "\(name) has not taken the last \(options.queuedMessages) messages")
      default: throw TransportError(.system, "sending to \(name): \(TransportError.text(of: code))")
      }
    }
  }
}
