import CZeroMQ

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A ZeroMQ context and the number of its open sockets. It ends with the last of them; ended earlier, it would wait
/// for ever.
final class Context {
  private var handle: UnsafeMutableRawPointer?
  private var openSockets = 0

  init() throws(TransportError) {
    guard let handle = zmq_ctx_new() else { throw .last("a ZeroMQ context could not be made") }
    self.handle = handle
  }

  deinit { if openSockets == 0 { end() } }

  func open(_ type: Int32) throws(TransportError) -> UnsafeMutableRawPointer {
    guard let socket = zmq_socket(handle, type) else { throw .last("a socket could not be made") }
    openSockets += 1
    return socket
  }

  /// Closes a socket; with the last one this waits until what was sent has gone out, for the linger time at most.
  func close(_ socket: UnsafeMutableRawPointer) {
    zmq_close(socket)
    openSockets -= 1
    if openSockets == 0 { end() }
  }

  private func end() {
    guard let handle else { return }
    self.handle = nil
    while zmq_ctx_term(handle) != 0, zmq_errno() == EINTR {}
  }

  /// Waits until one of the sockets has something to read or a wake comes, at most so long.
  static func wait(
    for sockets: [UnsafeMutableRawPointer], waker: Waker, seconds: Double
  ) throws(TransportError) {
    let milliseconds = Int((max(0, min(seconds, 86_400)) * 1000).rounded(.up))
    var items = sockets.map { zmq_pollitem_t(socket: $0, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0) }
    items.append(zmq_pollitem_t(socket: nil, fd: waker.readEnd, events: Int16(ZMQ_POLLIN), revents: 0))
    guard zmq_poll(&items, Int32(items.count), milliseconds) >= 0 else {
      // A signal ends the wait like a wake does.
      if zmq_errno() == EINTR { return }
      throw .last("waiting for messages failed")
    }
    if items.last?.revents != 0 { waker.clear() }
  }
}
