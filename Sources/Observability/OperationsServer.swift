import Dispatch
import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle

/// Answers those who look after a program: `/healthz`, `/readyz` and `/metrics`, by HTTP on an address of their own,
/// beside the thread that does the program's work.
public final class OperationsServer: Sendable {
  /// The port that is listened on.
  public let port: Int
  private let executor = QueueExecutor()
  private let services: ServiceGroup
  private let ended: DispatchSemaphore

  /// How long starting and stopping may take, in seconds.
  private static let patience = 10.0
  /// Connections at a time; more wait until one of these is closed. Nobody is to use up the program's descriptors.
  static let mostConnections = 64
  /// How long a connection may be idle: longer than the pause of most who read metrics.
  private static let idleTime = TimeAmount.seconds(90)

  /// Listens, and returns once it does.
  ///
  /// - Parameters:
  ///   - port: 0 for any that is free
  ///   - token: without which `/metrics` is not shown; nil shows it to everyone
  /// - Throws: `OperationsError` if the address cannot be listened on.
  public init(
    host: String, port: Int, token: String?, health: Health, metrics: MetricsRegistry, logger: Logger
  ) throws {
    let started = Promise<Int>()
    let ended = DispatchSemaphore(value: 0)
    var quiet = logger
    // Every request and each of the server's own stages is of no interest to the user of a trainer.
    quiet.logLevel = .error
    let application = Application(
      router: Self.router(token: token, health: health, metrics: metrics),
      server: .http1(configuration: .init(idleTimeout: Self.idleTime)),
      configuration: ApplicationConfiguration(
        address: .hostname(host, port: port), serverName: "nested-learning",
        availableConnectionsDelegate: MaximumAvailableConnections(Self.mostConnections)),
      onServerRunning: { started.set(.success($0.localAddress?.port ?? port)) }, logger: quiet)
    let services = ServiceGroup(
      configuration: ServiceGroupConfiguration(services: [application], logger: quiet))
    Task(executorPreference: executor) {
      do { try await services.run() } catch {
        let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
        started.set(.failure(OperationsError("cannot listen on \(host):\(port): \(reason)")))
      }
      started.set(.failure(OperationsError("the server on \(host):\(port) ended as soon as it began")))
      ended.signal()
    }
    guard let result = started.wait(seconds: Self.patience) else {
      throw OperationsError("the server on \(host):\(port) did not begin within \(Int(Self.patience)) s")
    }
    self.port = try result.get()
    self.services = services
    self.ended = ended
  }

  /// Answers what has been asked, and closes; waits for it a bounded time.
  public func stop() {
    let services = services
    Task(executorPreference: executor) { await services.triggerGracefulShutdown() }
    _ = ended.wait(timeout: .now() + Self.patience)
  }

  private static func router(
    token: String?, health: Health, metrics: MetricsRegistry
  ) -> Hummingbird.Router<BasicRequestContext> {
    let router = Hummingbird.Router()
    router.get("healthz") { _, _ in answer(health.liveness) }
    router.get("readyz") { _, _ in answer(health.readiness) }
    router.get("metrics") { request, _ in
      guard let token else { return text(metrics.text, type: PrometheusText.contentType) }
      guard Self.isSame(request.headers[.authorization] ?? "", "Bearer \(token)") else {
        return text("the header \"Authorization: Bearer …\" has to bear the token\n", status: .unauthorized)
      }
      return text(metrics.text, type: PrometheusText.contentType)
    }
    return router
  }

  private static func answer(_ answer: Health.Answer) -> Response {
    text(answer.reason + "\n", status: answer.isGood ? .ok : .serviceUnavailable)
  }

  private static func text(
    _ text: String, type: String = "text/plain; charset=utf-8", status: HTTPResponse.Status = .ok
  ) -> Response {
    Response(
      status: status, headers: [.contentType: type, .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  /// Takes as long for texts that differ early as for those that differ late: the time tells nothing of the token.
  private static func isSame(_ a: String, _ b: String) -> Bool {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    guard a.count == b.count else { return false }
    return zip(a, b).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

/// Why those who look after the program cannot be answered.
public struct OperationsError: Error, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// A result that one thread sets, the first time it does, and another waits for.
private final class Promise<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private let isSet = DispatchSemaphore(value: 0)
  private var result: Result<Value, any Error>?

  func set(_ result: Result<Value, any Error>) {
    let isFirst = lock.withLock {
      defer { self.result = self.result ?? result }
      return self.result == nil
    }
    if isFirst { isSet.signal() }
  }

  func wait(seconds: Double) -> Result<Value, any Error>? {
    _ = isSet.wait(timeout: .now() + seconds)
    return lock.withLock { result }
  }
}
