import CMicroHTTPD

/// Answers those who look after a program: `/healthz`, `/readyz` and `/metrics`, by HTTP on an address of their own,
/// on a thread of its own, beside those that do the program's work.
///
/// Unchecked: the daemon may be used from any thread, and is stopped once.
public final class OperationsServer: @unchecked Sendable {
  /// The port that is listened on.
  public let port: Int
  private let responder: Responder
  private var daemon: OpaquePointer?

  /// Connections at a time; more wait until one of these is closed. Nobody is to use up the program's descriptors.
  static let mostConnections = 64
  /// How long a connection may be idle, in seconds: longer than the pause of most who read metrics.
  private static let idleSeconds = 90

  /// Listens, and returns once it does.
  ///
  /// - Parameters:
  ///   - port: 0 for any that is free
  ///   - token: without which `/metrics` is not shown; nil shows it to everyone
  /// - Throws: `OperationsError` if the address cannot be listened on.
  public init(host: String, port: Int, token: String?, health: Health, metrics: MetricsRegistry) throws {
    let socket = try ListeningSocket(host: host, port: port)
    self.port = socket.port
    responder = Responder(token: token, health: health, metrics: metrics)
    var options = [
      MHD_OptionItem(option: .LISTEN_SOCKET, value: Int(socket.descriptor), ptr_value: nil),
      MHD_OptionItem(option: .CONNECTION_LIMIT, value: Self.mostConnections, ptr_value: nil),
      MHD_OptionItem(option: .CONNECTION_TIMEOUT, value: Self.idleSeconds, ptr_value: nil),
      MHD_OptionItem(option: .END, value: 0, ptr_value: nil),
    ]
    // The responder outlives the daemon: `stop` waits for the daemon's thread.
    let closure = Unmanaged.passUnretained(responder).toOpaque()
    daemon = options.withUnsafeMutableBufferPointer { options in
      guard let first = options.baseAddress else { return nil }
      return withVaList([Int32(MHD_OPTION.ARRAY.rawValue), first, Int32(MHD_OPTION.END.rawValue)]) { list in
        MHD_start_daemon_va(
          MHD_USE_AUTO.rawValue | MHD_USE_INTERNAL_POLLING_THREAD.rawValue, 0, nil, nil, Responder.handler,
          closure, list)
      }
    }
    guard daemon != nil else { throw OperationsError("the server on \(host):\(self.port) did not begin") }
  }

  deinit { stop() }

  /// Closes the address and every connection. Answers are made at once, so none is under way for long.
  public func stop() {
    guard let daemon else { return }
    MHD_stop_daemon(daemon)
    self.daemon = nil
  }
}

/// Why those who look after the program cannot be answered.
public struct OperationsError: Error, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}
