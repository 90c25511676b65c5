import HTTPServer
import Service

/// For those who look after the program.
struct WellnessRoutes: Sendable {
  let desk: RunDesk

  var routes: [Route] {
    [
      Route(.get, "/healthz") { _ in OperationsServer.answer(desk.health.liveness) },
      Route(.get, "/readyz") { _ in OperationsServer.answer(desk.health.readiness) },
      Route(.get, "/metrics") { _ in OperationsServer.answer(desk.metrics) },
    ]
  }
}
