import Foundation

/// A TCP socket that listens; whoever takes its descriptor closes it.
struct ListeningSocket {
  let descriptor: Int32
  /// The port that is listened on.
  let port: Int

  /// Connections that wait to be accepted.
  private static let backlog: Int32 = 512

  /// - Parameters:
  ///   - host: a name or address; of a name its first address that can be listened on
  ///   - port: 0 for any that is free
  /// - Throws: `OperationsError` with the address and the system's reason.
  init(host: String, port: Int) throws(OperationsError) {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Self.stream
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &list)
    guard code == 0 else {
      throw OperationsError("cannot listen on \(host):\(port): \(String(cString: gai_strerror(code)))")
    }
    defer { freeaddrinfo(list) }
    var reason = "it has no address"
    var next = list
    while let entry = next {
      if let descriptor = Self.listening(entry.pointee), let port = Self.port(of: descriptor) {
        self.descriptor = descriptor
        self.port = port
        return
      }
      reason = String(cString: strerror(errno))
      next = entry.pointee.ai_next
    }
    throw OperationsError("cannot listen on \(host):\(port): \(reason)")
  }

  #if canImport(Darwin)
    private static let stream = SOCK_STREAM
  #else
    private static let stream = Int32(SOCK_STREAM.rawValue)
  #endif

  /// Nil, and the reason in `errno`, if this address cannot be listened on.
  private static func listening(_ address: addrinfo) -> Int32? {
    let descriptor = socket(address.ai_family, address.ai_socktype, address.ai_protocol)
    guard descriptor >= 0 else { return nil }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout.size(ofValue: yes)))
    guard bind(descriptor, address.ai_addr, address.ai_addrlen) == 0, listen(descriptor, backlog) == 0 else {
      let code = errno
      close(descriptor)
      errno = code
      return nil
    }
    return descriptor
  }

  private static func port(of descriptor: Int32) -> Int? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout.size(ofValue: storage))
    return withUnsafeMutablePointer(to: &storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        guard getsockname(descriptor, address, &length) == 0 else { return nil }
        // The port is in the same place for IPv4 and IPv6.
        return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
          Int(UInt16(bigEndian: $0.pointee.sin_port))
        }
      }
    }
  }
}
