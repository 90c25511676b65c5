import CZeroMQ
import Protocol

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How sockets behave.
public struct TransportOptions: Sendable, Equatable {
  public var limits = WireLimits()
  /// Messages that wait for one peer before `send` reports that it is congested.
  public var queuedMessages = 256
  /// How long `close` lets what was sent go out, in seconds.
  public var lingerSeconds = 2.0
  /// Messages that one `poll` returns at most, so that its caller's timers are not starved.
  public var messagesPerPoll = 64

  public init() {}
}

/// A message that came, or the reason why what came is none.
public typealias Received = Result<(Envelope, Message), ProtocolError>

/// One ZeroMQ socket with its context. Belongs to one thread.
final class Socket {
  private let context: UnsafeMutableRawPointer
  private var handle: UnsafeMutableRawPointer?
  private let waker: Waker
  let options: TransportOptions

  /// - Parameter type: ZMQ_ROUTER or ZMQ_DEALER
  init(type: Int32, waker: Waker, options: TransportOptions) throws(TransportError) {
    guard let context = zmq_ctx_new() else { throw .last("a ZeroMQ context could not be made") }
    guard let handle = zmq_socket(context, type) else {
      let error = TransportError.last("a socket could not be made")
      zmq_ctx_term(context)
      throw error
    }
    self.context = context
    self.handle = handle
    self.waker = waker
    self.options = options
    do {
      try configure()
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
    let size = Int64(options.limits.frameBytes)
    let result = withUnsafeBytes(of: size) {
      zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, $0.baseAddress, $0.count)
    }
    guard result == 0 else { throw .last("the frame limit could not be set") }
  }

  func set(_ option: Int32, _ value: Int32) throws(TransportError) {
    let result = withUnsafeBytes(of: value) { zmq_setsockopt(handle, option, $0.baseAddress, $0.count) }
    guard result == 0 else { throw .last("socket option \(option) could not be set") }
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

  /// Closes the socket, then its context, which waits for the linger time at most. The context is never ended while
  /// the socket is open: that would wait forever.
  func close() {
    guard let open = handle else { return }
    handle = nil
    zmq_close(open)
    while zmq_ctx_term(context) != 0, zmq_errno() == EINTR {}
  }

  /// Waits until a message or a wake comes, at most so long.
  func wait(seconds: Double) throws(TransportError) {
    let milliseconds = Int((max(0, min(seconds, 86_400)) * 1000).rounded(.up))
    var items = [
      zmq_pollitem_t(socket: handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
      zmq_pollitem_t(socket: nil, fd: waker.readEnd, events: Int16(ZMQ_POLLIN), revents: 0),
    ]
    guard zmq_poll(&items, 2, milliseconds) >= 0 else {
      // A signal ends the wait like a wake does.
      if zmq_errno() == EINTR { return }
      throw .last("waiting for messages failed")
    }
    if items[1].revents != 0 { waker.clear() }
  }

  /// Receives one frame without waiting; nil if there is none. The frame's bytes are valid during the call.
  func receiveFrame<R>(
    _ body: (UnsafeRawBufferPointer, _ isLast: Bool) -> R
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
    return body(bytes, zmq_msg_more(&message) == 0)
  }

  /// Receives one message of the protocol, without waiting; nil if there is none. All of its frames are taken in any
  /// case; after an error the rest is dropped as it comes.
  func receiveMessage() throws(TransportError) -> Received? {
    var decoder = MessageDecoder(limits: options.limits)
    var failure: ProtocolError?
    var isLast = false
    while !isLast {
      let frame = try receiveFrame { bytes, isLast in
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
    if let peer { try send(peer.bytes, more: true, peer: peer) }
    for (number, frame) in message.head.enumerated() {
      try send(frame, more: number < message.head.count - 1 || message.hasChunks, peer: peer)
    }
    do {
      try message.forEachChunk { header, payload, isLast in
        var frame = zmq_msg_t()
        guard zmq_msg_init_size(&frame, header.count + payload.count) == 0 else {
          throw TransportError.last("there is no memory for a frame")
        }
        let target = UnsafeMutableRawBufferPointer(start: zmq_msg_data(&frame), count: zmq_msg_size(&frame))
        target.copyBytes(from: header)
        UnsafeMutableRawBufferPointer(rebasing: target[header.count...]).copyMemory(from: payload)
        try send(&frame, more: !isLast, peer: peer)
      }
    } catch let error as TransportError {
      throw error
    } catch {
      throw TransportError(.system, "\(error)")
    }
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
      let name = peer.map { "worker connection \($0)" } ?? "the coordinator"
      switch code {
      case EHOSTUNREACH: throw TransportError(.unreachable, "\(name) is not connected")
      case EAGAIN:
        throw TransportError(.congested, "\(name) has not taken the last \(options.queuedMessages) messages")
      default: throw TransportError(.system, "sending to \(name): \(TransportError.text(of: code))")
      }
    }
  }
}
