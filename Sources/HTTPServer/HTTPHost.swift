import Dispatch
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import Observability
import ServiceLifecycle

/// An HTTP server on an address of its own, on a thread beside those that do a program's work: whoever asks is answered
/// while all cores are busy.
package final class HTTPHost: Sendable {
  /// The port that is listened on.
  package let port: Int
  private let loops: MultiThreadedEventLoopGroup
  private let executor: LoopExecutor
  private let services: ServiceGroup
  private let ended: DispatchSemaphore

  private static let serverName = "nested-learning"
  /// How long starting and stopping may take, in seconds.
  private static let patience = 10.0

  /// What nobody may take more of, so that no client uses up the program's descriptors.
  package struct Limits: Sendable {
    /// Connections at a time; more wait until one of these is closed. From three quarters of them on, each new one ends
    /// the one without a request that nobody has used for the longest.
    package var connections: Int
    /// How long a connection may be idle, or take for a request, in seconds.
    package var idleSeconds: Int64

    package init(connections: Int, idleSeconds: Int64) {
      self.connections = connections
      self.idleSeconds = idleSeconds
    }
  }

  /// Listens, and returns once it does.
  ///
  /// - Parameters:
  ///   - port: 0 for any that is free
  ///   - early: the answer to a request from an address, if it is there already and this address may have it; asked on the
  ///     thread of the connections
  /// - Throws: `OperationsError` if the address cannot be listened on.
  package init<Context: RequestContext>(
    host: String, port: Int, router: Hummingbird.Router<Context>, limits: Limits,
    early: @escaping @Sendable (_ request: HTTPRequest, _ address: String) -> EarlyAnswer? = { _, _ in nil },
    logger: Logger
  ) throws where Context.Source == ApplicationRequestContextSource {
    let started = Promise<Int>()
    let ended = DispatchSemaphore(value: 0)
    let quiet = Logger(label: logger.label) { _ in ServerLogHandler(log: logger) }
    // One thread for connections and for what answers them.
    let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let registry = ConnectionRegistry(most: max(1, limits.connections * 3 / 4))
    let application = Application(
      router: router,
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: Self.handlers(limits, registry, early: early, logger: quiet))),
      configuration: ApplicationConfiguration(
        address: .hostname(host, port: port), serverName: Self.serverName,
        availableConnectionsDelegate: MaximumAvailableConnections(limits.connections)),
      onServerRunning: { started.set(.success($0.localAddress?.port ?? port)) },
      eventLoopGroupProvider: .shared(loops), logger: quiet)
    let services = ServiceGroup(
      configuration: ServiceGroupConfiguration(services: [application], logger: quiet))
    let executor = LoopExecutor(loops.any())
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
    do { self.port = try result.get() } catch {
      _ = ended.wait(timeout: .now() + Self.patience)
      loops.shutdownGracefully { _ in }
      throw error
    }
    self.loops = loops
    self.executor = executor
    self.services = services
    self.ended = ended
  }

  /// What each connection goes through before a task is begun for its requests. The first ends those that are idle: it has to
  /// see what is answered early, as the server's own, behind them all, does not.
  private static func handlers(
    _ limits: Limits, _ registry: ConnectionRegistry, early: @escaping EarlyAnswers.Find, logger: Logger
  ) -> [any RemovableChannelHandler] {
    [
      HTTPConnectionStateHandler(idleTimeout: .seconds(limits.idleSeconds), logger: logger),
      ConnectionWatch(registry), EarlyAnswers(serverName: serverName, find: early),
    ]
  }

  /// Answers what has been asked, and closes; waits for it a bounded time.
  package func stop() {
    let services = services
    let asked = DispatchSemaphore(value: 0)
    Task(executorPreference: executor) {
      await services.triggerGracefulShutdown()
      asked.signal()
    }
    let deadline = DispatchTime.now() + Self.patience
    // A thread that somebody still works on stays.
    guard ended.wait(timeout: deadline) == .success, asked.wait(timeout: deadline) == .success else { return }
    loops.shutdownGracefully { _ in }
  }
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
