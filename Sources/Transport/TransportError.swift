import CZeroMQ

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What went wrong between two processes, and what the user can do.
public struct TransportError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// Another program listens there.
    case addressInUse
    /// No address that this machine can use.
    case badAddress
    /// The peer has no connection (any more).
    case unreachable
    /// The peer does not take what it is sent.
    case congested
    /// The message is not within the limits.
    case message
    /// The operating system or ZeroMQ refused.
    case system
  }

  public let kind: Kind
  public let description: String

  init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// The error that ZeroMQ has just reported for an operation.
  static func last(_ operation: String) -> TransportError {
    let code = zmq_errno()
    return TransportError(.system, "\(operation): \(text(of: code))")
  }

  static func text(of code: Int32) -> String {
    zmq_strerror(code).map { String(cString: $0) } ?? "error \(code)"
  }

  /// The error of a failed bind or connect, in words about the address.
  static func last(_ operation: String, endpoint: String) -> TransportError {
    let code = zmq_errno()
    switch code {
    case EADDRINUSE:
      return TransportError(
        .addressInUse,
        "\(operation) \(endpoint): another program already uses this address; end it, or choose another port")
    case EADDRNOTAVAIL, ENODEV:
      return TransportError(
        .badAddress,
        "\(operation) \(endpoint): this machine has no such address or interface; give one of its own in numbers, or 0.0.0.0"
      )
    case EACCES:
      return TransportError(
        .badAddress,
        "\(operation) \(endpoint): not permitted; choose a port above 1023, or a folder that is yours")
    case EINVAL, EPROTONOSUPPORT, ENOCOMPATPROTO:
      return TransportError(
        .badAddress, "\(operation) \(endpoint): not an address; it has the form tcp://HOST:PORT or ipc://PATH"
      )
    case ENAMETOOLONG:
      return TransportError(
        .badAddress, "\(operation) \(endpoint): the path is too long for a socket; use a shorter one")
    default:
      return TransportError(.badAddress, "\(operation) \(endpoint): \(text(of: code))")
    }
  }
}
