import Hummingbird
import Logging
import NIOCore
import Observability

/// Answers those who look after a program: `/healthz`, `/readyz` and `/metrics`, by HTTP on an address of their own,
/// beside the thread that does the program's work.
public final class OperationsServer: OperationsEndpoint {
  private let host: HTTPHost
  public var port: Int { host.port }

  static let mostConnections = 64
  /// Connections may be idle for longer than the pause of most who read metrics.
  private static let limits = HTTPHost.Limits(connections: mostConnections, idleSeconds: 90)

  public init(
    host: String, port: Int, token: String?, health: Health, metrics: MetricsRegistry, logger: Logger
  ) throws {
    self.host = try HTTPHost(
      host: host, port: port, router: Self.router(token: token, health: health, metrics: metrics),
      limits: Self.limits, logger: logger)
  }

  public func stop() { host.stop() }

  private static func router(
    token: String?, health: Health, metrics: MetricsRegistry
  ) -> Hummingbird.Router<BasicRequestContext> {
    let router = Hummingbird.Router()
    router.get("healthz") { _, _ in answer(health.liveness) }
    router.get("readyz") { _, _ in answer(health.readiness) }
    router.get("metrics") { request, _ in
      guard let token else { return answer(metrics) }
      guard Secret.isSame(request.headers[.authorization] ?? "", "Bearer \(token)") else {
        return text("the header \"Authorization: Bearer …\" has to bear the token\n", status: .unauthorized)
      }
      return answer(metrics)
    }
    return router
  }

  /// What health and metrics are answered with, here and where else they are asked for.
  package static func answer(_ answer: Health.Answer) -> Response {
    text(answer.reason + "\n", status: answer.isGood ? .ok : .serviceUnavailable)
  }

  package static func answer(_ metrics: MetricsRegistry) -> Response {
    text(metrics.text, type: PrometheusText.contentType)
  }

  private static func text(
    _ text: String, type: String = "text/plain; charset=utf-8", status: HTTPResponse.Status = .ok
  ) -> Response {
    Response(
      status: status, headers: [.contentType: type, .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}
