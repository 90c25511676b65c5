#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A port of 127.0.0.1 that nobody has now, below those that Linux gives to connections (32768 and more), so that no
/// other test's connection takes it meanwhile.
package func freePort() -> Int {
  while true {
    let port = Int.random(in: 20000..<32000)
    if isFree(port) { return port }
  }
}

private func isFree(_ port: Int) -> Bool {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(descriptor) }
  return withLoopback(port) { bind(descriptor, $0, $1) } == 0
}

/// A plain connection to a port of 127.0.0.1, for the caller to close; nil if nobody takes it.
package func connected(to port: Int) -> Int32? {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  if withLoopback(port, { connect(descriptor, $0, $1) }) == 0 { return descriptor }
  close(descriptor)
  return nil
}

private func withLoopback(
  _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
) -> Int32 {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = UInt16(port).bigEndian
  address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
  }
}
