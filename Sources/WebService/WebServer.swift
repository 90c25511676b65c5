import Hummingbird
import Logging
import Observability
import Service

/// The service by HTTP: the page, the API and the events of the runs of one desk.
public final class WebServer: Sendable {
  private let host: HTTPHost
  /// The port that is listened on.
  public var port: Int { host.port }

  /// Event streams keep their connections, and others are to have some left.
  private static let limits = HTTPHost.Limits(connections: 512, idleSeconds: 10)

  /// Listens, and returns once it does.
  ///
  /// - Throws: `OperationsError` if the address cannot be listened on.
  public init(options: WebOptions, desk: RunDesk, logger: Logger) throws {
    let limits = RequestLimits()
    let router = Hummingbird.Router(context: WebContext.self)
    router.add(middleware: AccessRules(token: options.token, limits: limits))
    for route in Self.routes(options: options, desk: desk, limits: limits) {
      router.on(RouterPath(route.path), method: route.method) { request, context in
        try await route.answer(Asked(request: request, context: context))
      }
    }
    host = try HTTPHost(
      name: "web", host: options.host, port: options.port, router: router, limits: Self.limits, logger: logger
    )
    logger.notice(
      "the page: http://\(options.host.contains(":") ? "[\(options.host)]" : options.host):\(host.port)/")
  }

  /// Answers what has been asked, and closes; waits for it a bounded time.
  public func stop() { host.stop() }

  /// Everything that is answered.
  static func routes(options: WebOptions, desk: RunDesk, limits: RequestLimits) -> [Route] {
    let policy = PathPolicy(options)
    let summaries = RunSummaries(desk)
    let status = RunStatus(desk, summaries)
    let uploads = Uploads(folder: options.data, limit: options.uploadLimit)
    return PageRoutes(desk: desk).routes + LoginRoutes(token: options.token, limits: limits).routes
      + RunRoutes(desk: desk, policy: policy, summaries: summaries, status: status).routes
      + ConfigRoutes(preview: Preview(policy, summaries)).routes
      + FileRoutes(library: Library(policy: policy), uploads: uploads).routes + [EventRoute(status).route]
  }
}
