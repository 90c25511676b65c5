import CZeroMQ

/// Why a connection came to nothing although somebody listens.
public enum HandshakeFailure: Sendable, Equatable {
  /// The coordinator does not let this worker's public key in.
  case keyRefused
  /// The coordinator could not decide about the key.
  case notDecided
  /// One side has keys, the other has none.
  case keysOnOneSide
  /// It ended without a reason. A coordinator that has another key than the worker expects ends it so.
  case brokenOff
}

/// What can happen to a socket's connections, besides messages.
enum ConnectionEvent: Sendable, Equatable {
  case handshakeFailed(HandshakeFailure)
  /// A connection to a listening socket has begun, on this descriptor of ZeroMQ's.
  case accepted(descriptor: Int32)
  /// A connection to another's listening socket has begun.
  case connected(descriptor: Int32)
  /// A connection has ended.
  case disconnected(descriptor: Int32)
}

/// Hears what becomes of a socket's connections.
final class SocketMonitor {
  private static let handshakes =
    ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
    | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH

  /// What is told, besides ends of connections.
  enum Hears {
    /// Connections that are made from here, and handshakes that fail.
    case made
    /// Connections that are accepted.
    case accepted

    fileprivate var events: Int32 {
      switch self {
      case .made: ZMQ_EVENT_CONNECTED | SocketMonitor.handshakes
      case .accepted: ZMQ_EVENT_ACCEPTED
      }
    }
  }

  private let context: Context
  private(set) var handle: UnsafeMutableRawPointer?

  /// - Parameter name: tells monitors of one context apart
  init(
    of socket: UnsafeMutableRawPointer, context: Context, name: String, hears: Hears
  ) throws(TransportError) {
    let endpoint = "inproc://monitor/\(name)"
    let events = ZMQ_EVENT_DISCONNECTED | hears.events
    guard zmq_socket_monitor(socket, endpoint, events) == 0 else {
      throw .last("a socket could not be watched")
    }
    let handle = try context.open(ZMQ_PAIR)
    guard zmq_connect(handle, endpoint) == 0 else {
      let error = TransportError.last("a socket could not be watched")
      context.close(handle)
      throw error
    }
    self.context = context
    self.handle = handle
  }

  deinit { close() }

  func close() {
    guard let open = handle else { return }
    handle = nil
    context.close(open)
  }

  /// What has happened since the last call, in order.
  func take() -> [ConnectionEvent] {
    var all: [ConnectionEvent] = []
    while let (event, value) = receive() {
      switch Int32(event) {
      case ZMQ_EVENT_DISCONNECTED: all.append(.disconnected(descriptor: Int32(bitPattern: value)))
      case ZMQ_EVENT_ACCEPTED: all.append(.accepted(descriptor: Int32(bitPattern: value)))
      case ZMQ_EVENT_CONNECTED: all.append(.connected(descriptor: Int32(bitPattern: value)))
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        all.append(.handshakeFailed(value == 400 ? .keyRefused : .notDecided))
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
      where Int32(value) == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
        all.append(.handshakeFailed(.keysOnOneSide))
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        all.append(.handshakeFailed(.brokenOff))
      default: break
      }
    }
    return all
  }

  /// One event: a frame with its number (16 bits) and value (32 bits), and a frame with the address.
  private func receive() -> (event: UInt16, value: UInt32)? {
    guard let handle else { return nil }
    var first = [UInt8](repeating: 0, count: 6)
    guard zmq_recv(handle, &first, first.count, ZMQ_DONTWAIT) == first.count else { return nil }
    var address = [UInt8](repeating: 0, count: 1024)
    zmq_recv(handle, &address, address.count, ZMQ_DONTWAIT)
    return first.withUnsafeBytes {
      ($0.loadUnaligned(as: UInt16.self), $0.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
    }
  }
}
