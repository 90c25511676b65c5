import Digests
import Foundation
import HTTPServer
import HTTPTypes
import Hummingbird
import Service

/// Who is let in. Without a token that is whoever is on this machine and asks for it by its own name, so that no page of
/// another site reaches the service through a browser, by whatever name of DNS; with one, whoever bears it or has logged in.
struct AccessRules: RouterMiddleware {
  typealias Context = WebContext

  private let token: String?
  private let limits: RequestLimits
  /// What everybody may see: the way in, and whether the program is well.
  private static let open: Set<String> = ["/login", "/healthz", "/readyz"]
  private static let openFolder = "/assets/"

  init(token: String?, limits: RequestLimits) {
    self.token = token
    self.limits = limits
  }

  func handle(
    _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
  ) async throws -> Response {
    var response: Response
    let context = context.named(by: request)
    do {
      try check(request, context)
      response = try await next(request, context)
    } catch {
      response = Answer.error(error, path: request.uri.path)
      // What is too large is not read to its end.
      if response.status == .contentTooLarge { response = Answer.closing(response, context.channel) }
      if wantsPage(request), response.status == .unauthorized {
        response = Response(status: .seeOther, headers: [.location: "/login"])
      }
    }
    for (name, value) in Self.headers where response.headers[name] == nil { response.headers[name] = value }
    return response
  }

  private func wantsPage(_ request: Request) -> Bool {
    request.method == .get && (request.headers[.accept] ?? "").contains("text/html")
  }

  /// Whether a request from an address is let in without more ado: it counts as one of that address then. All others are for
  /// `handle`, which says why they are refused, and counts guesses.
  func letsIn(_ request: HTTPRequest, from address: String) -> Bool {
    let peer = WebContext.peer(of: request, from: address)
    guard answersTo(request.authority ?? ""), request.headerFields[.origin] == nil,
      request.headerFields[.fetchSite] != "cross-site"
    else { return false }
    if let token {
      guard limits.mayGuess(peer), Credentials(request.headerFields).areRight(token) else { return false }
    }
    return limits.allows(peer)
  }

  private func answersTo(_ host: String) -> Bool { token != nil || Self.isLoopback(Self.name(of: host)) }

  private func check(_ request: Request, _ context: WebContext) throws {
    let host = request.head.authority ?? ""
    guard answersTo(host) else {
      throw Refusal(
        .misdirectedRequest, "this service does not answer to the name \(host.prefix(80))",
        hint: "http://127.0.0.1")
    }
    try checkOrigin(request, host)
    guard limits.allows(context.peer) else {
      throw Refusal(.tooManyRequests, "too many requests in one second", hint: "ask again in a second")
    }
    guard let token, !Self.open.contains(request.uri.path), !request.uri.path.hasPrefix(Self.openFolder)
    else { return }
    try Self.checkLogin(request, token: token, peer: context.peer, limits)
  }

  /// A browser says from which page a request comes, unless somebody has typed the address.
  private func checkOrigin(_ request: Request, _ host: String) throws {
    if let origin = request.headers[.origin] {
      let place = origin.split(separator: "/", maxSplits: 2).last.map(String.init) ?? ""
      guard origin != "null", place.lowercased() == host.lowercased() else {
        throw Refusal(
          .forbidden, "the request comes from a page of \(origin.prefix(80))",
          hint: "use the service's own page")
      }
    }
    // A link from elsewhere may lead to the page, and to nothing else.
    if request.headers[.fetchSite] == "cross-site", !wantsPage(request) {
      throw Refusal(
        .forbidden, "the request comes from a page of another site", hint: "use the service's own page")
    }
  }

  private static func checkLogin(
    _ request: Request, token: String, peer: String, _ limits: RequestLimits
  ) throws {
    let credentials = Credentials(request.headers)
    guard credentials.areThere else {
      throw Refusal(
        .unauthorized, "a token is needed",
        hint: "log in at /login, or send the header \"Authorization: Bearer …\"")
    }
    // Whoever guesses wrongly too often is not heard for a while, right or wrong.
    guard limits.mayGuess(peer) else {
      throw Refusal(.tooManyRequests, "too many wrong tokens came from \(peer)", hint: "wait a minute")
    }
    if credentials.areRight(token) { return }
    limits.guessedWrongly(peer)
    throw Refusal(.unauthorized, "that is not the token", hint: "it stands in the file of --token")
  }

  private static func name(of host: String) -> String {
    if host.hasPrefix("[") { return String(host.dropFirst().prefix { $0 != "]" }) }
    return String(host.prefix { $0 != ":" }).lowercased()
  }

  private static func isLoopback(_ name: String) -> Bool {
    name == "localhost" || name == "::1" || name == "127.0.0.1"
  }

  /// The page has its scripts and styles from here and from nowhere else, and nobody shows it in a frame.
  static let headers: [(name: HTTPField.Name, value: String)] = [
    (
      HTTPField.Name("Content-Security-Policy")!,
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ), (HTTPField.Name("X-Content-Type-Options")!, "nosniff"),
    (HTTPField.Name("Referrer-Policy")!, "no-referrer"),
    (HTTPField.Name("Cross-Origin-Resource-Policy")!, "same-origin"), (.cacheControl, "no-store"),
  ]
}

/// A request that is refused before anything is done.
struct Refusal: Error {
  let status: HTTPResponse.Status
  let reason: String
  let hint: String?

  init(_ status: HTTPResponse.Status, _ reason: String, hint: String? = nil) {
    self.status = status
    self.reason = reason
    self.hint = hint
  }
}
