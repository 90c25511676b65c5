#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Ends the `poll` of a socket's thread early. The one thing about a socket that other threads may use.
public final class Waker: Sendable {
  let readEnd: Int32
  private let writeEnd: Int32

  public init() throws(TransportError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      throw TransportError(.system, "a pipe could not be made: \(TransportError.text(of: errno))")
    }
    for end in ends {
      _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK)
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
    }
    readEnd = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(readEnd)
    close(writeEnd)
  }

  /// Makes the next or current `poll` return. Safe from any thread and in a signal handler. A full pipe wakes as well
  /// as one more byte would.
  public func wake() {
    var byte: UInt8 = 1
    _ = write(writeEnd, &byte, 1)
  }

  /// Takes all wakes so far.
  func clear() {
    var bytes = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
    while read(readEnd, &bytes, 32) == 32 {}
  }
}
