import Logging
import Observability

/// What can be seen of a program from outside while it works: its health, its metrics, and what its log lines say of
/// where it stands.
final class Telemetry: Sendable {
  let health = Health()
  let metrics = MetricsRegistry()
  let context: LogContext
  /// Nil unless there is an address to answer on.
  private let server: (any OperationsEndpoint)?
  /// Whether somebody else shows what is here.
  private let isShown: Bool

  /// Begins to answer, if that is wanted.
  ///
  /// - Throws: `OperationsError` if the address cannot be listened on.
  init(options: OperationsOptions, context: LogContext, logger: Logger, isShown: Bool = false) throws {
    self.context = context
    self.isShown = isShown
    if isShown || options.address != nil { ProcessMetrics.collect(into: metrics) }
    guard let address = options.address else {
      server = nil
      return
    }
    let server = try address.endpoint.init(
      host: address.host, port: address.port, token: options.token, health: health, metrics: metrics,
      logger: logger)
    self.server = server
    logger.notice("health and metrics: http://\(address.host):\(server.port)/metrics")
  }

  /// Whether anybody can look.
  var isOpen: Bool { server != nil || isShown }

  func close() { server?.stop() }
}
