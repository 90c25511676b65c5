import HTTPServer
import Hummingbird
import Logging
import NIOCore
import Service

/// The service by HTTP: the page, the API and the events of the runs of one desk.
public final class WebServer: Sendable {
  private let host: HTTPHost
  private let completions: CompletionProcess
  private let exports: CheckpointExports
  /// The port that is listened on.
  public var port: Int { host.port }

  /// Event streams keep their connections, and others are to have some left.
  private static let limits = HTTPHost.Limits(connections: 512, idleSeconds: 10)

  /// Listens, and returns once it does.
  ///
  /// - Throws: `OperationsError` if the address cannot be listened on.
  public init(options: WebOptions, desk: RunDesk, logger: Logger) throws {
    let limits = RequestLimits()
    completions = CompletionProcess(logger: logger)
    exports = CheckpointExports(runs: options.runs, logger: logger)
    let rules = AccessRules(token: options.token, limits: limits)
    let router = Hummingbird.Router(context: WebContext.self)
    router.add(middleware: rules)
    let parts = WebRoutes(
      options: options, desk: desk, limits: limits, completions: completions, exports: exports,
      logger: logger)
    for route in parts.routes {
      router.on(RouterPath(route.pattern), method: route.method) { request, context in
        try await route.answer(Asked(request: request, context: context))
      }
    }
    let headers = EarlyAnswer.Headers(Answer.headers(type: Answer.jsonType))
    host = try HTTPHost(
      host: options.host, port: options.port, router: router, limits: Self.limits,
      early: { request, address in
        guard let bytes = request.path.flatMap(parts.early), rules.letsIn(request, from: address) else {
          return nil
        }
        return EarlyAnswer(headers: headers, body: bytes)
      }, logger: logger)
    logger.notice(
      "the page: http://\(options.host.contains(":") ? "[\(options.host)]" : options.host):\(host.port)/")
  }

  /// Answers what has been asked, and closes; waits for it a bounded time.
  public func stop() {
    completions.stop()
    exports.stop()
    host.stop()
  }
}

/// What answers requests, put together.
struct WebRoutes {
  /// Everything that is answered.
  let routes: [Route]
  /// What is there already, by the target of a request.
  let early: @Sendable (_ target: String) -> ByteBuffer?

  init(
    options: WebOptions, desk: RunDesk, limits: RequestLimits, completions: CompletionProcess,
    exports: CheckpointExports, logger: Logger
  ) {
    let policy = PathPolicy(options)
    let summaries = RunSummaries(desk)
    let rows = MetricRows()
    let status = RunStatus(desk, summaries, rows)
    let slots = UploadSlots()
    let uploads = Uploads(folder: options.data, limit: options.uploadLimit, slots: slots)
    let shelf = FileShelf(folder: options.data, limit: options.uploadLimit, slots: slots)
    let catalog = ModelCatalog(policy: policy, desk: desk)
    let jobs = JobView(
      desk: desk, store: JobStore(runs: options.runs, logger: logger), summaries: summaries, status: status,
      catalog: catalog, shelf: shelf)
    let start = RunStart(desk: desk, policy: policy, jobs: jobs)
    let runs = RunRoutes(
      desk: desk, policy: policy, summaries: summaries, rows: rows, status: status, start: start, jobs: jobs)
    early = runs.early
    let own =
      PageRoutes(desk: desk).routes + LoginRoutes(token: options.token, limits: limits).routes + runs.routes
      + RunNameRoutes(desk: desk, policy: policy, jobs: jobs).routes
      + CheckpointRoutes(desk: desk, policy: policy, exports: exports).routes
      + ConfigRoutes(preview: Preview(policy, summaries)).routes
      + FileRoutes(library: Library(policy: policy), uploads: uploads).routes + [EventRoute(status).route]
    let openAI =
      OpenAIFileRoutes(shelf: shelf, desk: desk).routes + catalog.routes
      + JobRoutes(view: jobs, start: start, catalog: catalog, shelf: shelf).routes
      + CompletionRoutes(catalog: catalog, process: completions).routes
    routes = own + openAI
  }
}
