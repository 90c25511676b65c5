import Logging

/// An address where a program's health and metrics are shown while it works. What a run is made of knows no HTTP: a program
/// says what answers there, and a trainer within somebody else's program needs nothing that does.
public protocol OperationsEndpoint: Sendable {
  /// Listens, and returns once it does.
  ///
  /// - Parameters:
  ///   - port: 0 for any that is free
  ///   - token: without which metrics are not shown; nil shows them to everyone
  /// - Throws: `OperationsError` if the address cannot be listened on.
  init(host: String, port: Int, token: String?, health: Health, metrics: MetricsRegistry, logger: Logger)
    throws

  /// The port that is listened on.
  var port: Int { get }

  /// Answers what has been asked, and closes; waits for it a bounded time.
  func stop()
}
