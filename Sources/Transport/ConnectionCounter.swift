#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A TCP connection of ZeroMQ's: how many bytes have come over it, and a way to end it. ZeroMQ owns the
/// descriptor, may close it at any time, and its number may then be another's; so that everything is done with a
/// duplicate that is held only meanwhile, and that is first seen to be the same connection, by the number that the
/// kernel gives every socket.
struct ConnectionCounter: Sendable {
  let descriptor: Int32
  /// SO_COOKIE: never used twice while the machine runs.
  let cookie: UInt64

  /// One that was accepted.
  ///
  /// - Parameter ports: those that are listened on
  /// - Returns: nil if there is no such connection (any more).
  init?(descriptor: Int32, ports: Set<UInt16>) {
    self.init(descriptor: descriptor) { Self.port($0, getsockname).map(ports.contains) ?? false }
  }

  /// One that was made from here.
  ///
  /// - Parameter port: the one at its far end
  /// - Returns: nil if there is no such connection (any more).
  init?(descriptor: Int32, to port: UInt16) {
    self.init(descriptor: descriptor) { Self.port($0, getpeername) == port }
  }

  private init?(descriptor: Int32, isMeant: (Int32) -> Bool) {
    let found = Self.withDuplicate(of: descriptor) { isMeant($0) ? Self.cookie(of: $0) : nil }
    guard case .some(.some(let cookie)) = found else { return nil }
    self.descriptor = descriptor
    self.cookie = cookie
  }

  /// Bytes of a connection from its beginning.
  struct Bytes: Equatable {
    /// Those that have come in order, whoever has read them.
    var received = 0
    /// Those that the far end's kernel has.
    var acknowledged = 0
  }

  /// How many there are; nil if the connection is gone.
  var bytes: Bytes? { checked { duplicate in Self.bytes(duplicate) } ?? nil }

  /// Ends the connection: its peer sees that, and ZeroMQ drops what it has of it.
  func end() {
    _ = checked { duplicate in shutdown(duplicate, Int32(SHUT_RDWR)) }
  }

  private func checked<R>(_ body: (Int32) -> R) -> R? {
    Self.withDuplicate(of: descriptor) { duplicate -> R? in
      guard Self.cookie(of: duplicate) == cookie else { return nil }
      return body(duplicate)
    } ?? nil
  }

  private static func withDuplicate<R>(of descriptor: Int32, _ body: (Int32) -> R) -> R? {
    let duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    guard duplicate >= 0 else { return nil }
    defer { close(duplicate) }
    return body(duplicate)
  }

  /// - Parameter name: `getsockname` or `getpeername`
  private static func port(
    _ descriptor: Int32,
    _ name: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
  ) -> UInt16? {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutableBytes(of: &address) { bytes -> Int32 in
      guard let base = bytes.baseAddress else { return -1 }
      return name(descriptor, base.assumingMemoryBound(to: sockaddr.self), &length)
    }
    let family = Int32(address.ss_family)
    guard result == 0, family == AF_INET || family == AF_INET6 else { return nil }
    // The port is at the same place in both, in network order.
    return withUnsafeBytes(of: address) {
      UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    }
  }

  #if os(Linux)
    private static let cookieOption: Int32 = 57
    /// `tcpi_bytes_acked` and `tcpi_bytes_received` in Linux's `struct tcp_info`, which only grows at its end. The C
    /// library's own copy of that type ends before them.
    private static let acknowledgedOffset = 120
    private static let receivedOffset = 128

    private static func cookie(of descriptor: Int32) -> UInt64? {
      var cookie: UInt64 = 0
      var length = socklen_t(MemoryLayout<UInt64>.size)
      return getsockopt(descriptor, SOL_SOCKET, cookieOption, &cookie, &length) == 0 ? cookie : nil
    }

    private static func bytes(_ descriptor: Int32) -> Bytes? {
      withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { info in
        var length = socklen_t(info.count)
        guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, info.baseAddress, &length) == 0,
          length >= receivedOffset + 8
        else { return nil }
        let count = { Int(clamping: info.loadUnaligned(fromByteOffset: $0, as: UInt64.self)) }
        return Bytes(received: count(receivedOffset), acknowledged: count(acknowledgedOffset))
      }
    }
  #else
    // Coordinators for others run on Linux; elsewhere connections are not counted.
    private static func cookie(of descriptor: Int32) -> UInt64? { nil }
    private static func bytes(_ descriptor: Int32) -> Bytes? { nil }
  #endif
}
