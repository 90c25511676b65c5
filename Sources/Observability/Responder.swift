import CMicroHTTPD

/// What is answered to each request.
final class Responder: Sendable {
  /// An answer: text, its type and its status.
  struct Answer {
    var status: UInt32 = 200
    var type = "text/plain; charset=utf-8"
    let text: String
  }

  private let token: String?
  private let health: Health
  private let metrics: MetricsRegistry

  /// - Parameter token: without which `/metrics` is not shown; nil shows it to everyone
  init(token: String?, health: Health, metrics: MetricsRegistry) {
    self.token = token
    self.health = health
    self.metrics = metrics
  }

  /// - Parameter authorization: the header of that name
  func answer(method: String, path: String, authorization: String?) -> Answer {
    guard method == "GET" || method == "HEAD" else {
      return Answer(status: 405, text: "only GET and HEAD are answered\n")
    }
    switch path {
    case "/healthz": return answer(health.liveness)
    case "/readyz": return answer(health.readiness)
    case "/metrics":
      if let token, !Self.isSame(authorization ?? "", "Bearer \(token)") {
        return Answer(
          status: 401, text: "the header \"Authorization: Bearer …\" has to bear the token\n")
      }
      return Answer(type: PrometheusText.contentType, text: metrics.text)
    default: return Answer(status: 404, text: "there are /healthz, /readyz and /metrics\n")
    }
  }

  private func answer(_ answer: Health.Answer) -> Answer {
    Answer(status: answer.isGood ? 200 : 503, text: answer.reason + "\n")
  }

  /// Takes as long for texts that differ early as for those that differ late: the time tells nothing of the token.
  private static func isSame(_ a: String, _ b: String) -> Bool {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    guard a.count == b.count else { return false }
    return zip(a, b).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

extension Responder {
  /// The server calls this once when a request's headers are there, then for each piece of its body, and once more at
  /// the end, when it is answered. A body is of no interest.
  static let handler: MHD_AccessHandlerCallback = {
    closure, connection, path, method, _, _, bodyByteCount, request in
    guard let closure, let connection, let path, let method, let bodyByteCount, let request else {
      return .NO
    }
    let responder = Unmanaged<Responder>.fromOpaque(closure).takeUnretainedValue()
    if request.pointee == nil {
      request.pointee = closure
      return .YES
    }
    if bodyByteCount.pointee > 0 {
      bodyByteCount.pointee = 0
      return .YES
    }
    let authorization = MHD_lookup_connection_value(connection, .HEADER_KIND, "Authorization")
    let answer = responder.answer(
      method: String(cString: method), path: String(cString: path),
      authorization: authorization.map { String(cString: $0) })
    return answer.send(on: connection)
  }
}

extension Responder.Answer {
  fileprivate func send(on connection: OpaquePointer) -> MHD_Result {
    var bytes = Array(text.utf8)
    guard let response = MHD_create_response_from_buffer(bytes.count, &bytes, .RESPMEM_MUST_COPY) else {
      return .NO
    }
    defer { MHD_destroy_response(response) }
    for (name, value) in [
      ("Content-Type", type), ("Cache-Control", "no-store"), ("Server", "nested-learning"),
    ] where MHD_add_response_header(response, name, value) != .YES { return .NO }
    return MHD_queue_response(connection, status, response)
  }
}
