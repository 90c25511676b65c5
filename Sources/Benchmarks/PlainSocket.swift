import Coordination
import Foundation
import Service
import WireProtocol

/// The rate of a plain stream socket within this machine: one thread writes, another reads, and nobody looks at what
/// it is. What ZeroMQ, framing and checks add is measured against this.
struct PlainSocket {
  /// How two ends of the protocol on one machine are connected.
  enum Transport: String, CaseIterable, Sendable {
    /// Over loopback.
    case tcp
    /// A Unix domain socket.
    case ipc
  }

  private let writer: Int32
  private let reader: Int32

  /// - Parameters:
  ///   - count: bytes of a message, which lies in one piece on both sides.
  ///   - seconds: for how long messages are sent; two of them at least.
  /// - Returns: bytes a second.
  /// - Throws: `ServiceError` if the system refuses.
  static func bytesPerSecond(_ transport: Transport, sending count: Int, seconds: Double = 0.5) throws
    -> Double
  {
    let socket = try PlainSocket(transport)
    defer { close(socket.reader) }
    let begin = MonotonicClock.now()
    let writer = socket.writer
    let thread = Thread {
      Self.send(to: writer, count: max(1, count), until: begin + seconds)
      close(writer)
    }
    thread.start()
    let bytes = try socket.receive(count: max(1, count))
    return Double(bytes) / MonotonicClock.now().seconds(since: begin)
  }

  private init(_ transport: Transport) throws {
    switch transport {
    case .ipc:
      var ends: [Int32] = [-1, -1]
      guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { throw Self.error() }
      (writer, reader) = (ends[0], ends[1])
    case .tcp: (writer, reader) = try Self.loopback()
    }
  }

  /// Two ends of a connection over 127.0.0.1, on a port that the system chooses.
  private static func loopback() throws -> (Int32, Int32) {
    let (listener, writer) = (tcpSocket(), tcpSocket())
    defer { close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isConnected = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 1) == 0
          && getsockname(listener, $0, &length) == 0 && connect(writer, $0, length) == 0
      }
    }
    let reader = isConnected ? accept(listener, nil, nil) : -1
    guard reader >= 0 else {
      defer { close(writer) }
      throw error()
    }
    return (writer, reader)
  }

  private static func tcpSocket() -> Int32 { socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }

  private static func error() -> ServiceError {
    ServiceError("a socket of this machine cannot be used: \(String(cString: strerror(errno)))")
  }

  /// The reader stays until all has come, so that nothing can fail here.
  private static func send(to socket: Int32, count: Int, until end: Instant) {
    let message = [UInt8](repeating: 1, count: count)
    var sent = 0
    while sent < 2 || MonotonicClock.now() < end {
      message.withUnsafeBytes { bytes in
        var rest = bytes[...]
        while !rest.isEmpty {
          let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(WireLimits.chunkBytes))
          let written = write(socket, piece.baseAddress, piece.count)
          guard written > 0 else { return }
          rest = rest.dropFirst(written)
        }
      }
      sent += 1
    }
  }

  /// Reads to the end; returns the number of bytes.
  private func receive(count: Int) throws -> Int {
    let message = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    defer { message.deallocate() }
    var (total, place) = (0, 0)
    while true {
      let room = min(count - place, WireLimits.chunkBytes)
      let got = read(reader, message.baseAddress.map { $0 + place }, room)
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw Self.error() }
      if got == 0 { return total }
      total += got
      place = (place + got) % count
    }
  }
}
