import HTTPServer
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Service

/// The way in for browsers: the token is asked for once, and a cookie stands for it.
struct LoginRoutes: Sendable {
  let token: String?
  let limits: RequestLimits
  private static let mostBytes = 4096

  var routes: [Route] {
    [
      Route(.get, "/login") { _ in PageFile.response("login.html") },
      Route(.post, "/login") { asked in try await login(asked) },
      Route(.get, "/nested-learning/session") { asked in
        Answer.json(["has_login": .bool(token != nil && Credentials(asked.request.headers).isLoggedIn)])
      },
      Route(.post, "/logout") { _ in
        var response = Answer.json(["success": true])
        response.setCookie(Self.cookie("", maxAge: 0))
        return response
      },
    ]
  }

  private func login(_ asked: Asked) async throws -> Response {
    guard let token else { return Answer.json(["success": true]) }
    guard limits.mayGuess(asked.context.peer) else {
      throw Refusal(
        .tooManyRequests, "too many wrong tokens came from \(asked.context.peer)", hint: "wait a minute")
    }
    let given = try await asked.object()["token"]?.string ?? ""
    guard Secret.isSame(given, token) else {
      limits.guessedWrongly(asked.context.peer)
      throw Refusal(.unauthorized, "that is not the token", hint: "it stands in the file of --token")
    }
    var response = Answer.json(["success": true])
    response.setCookie(Self.cookie(Credentials.loginValue(of: token), maxAge: 30 * 86_400))
    return response
  }

  /// No script reads it, and no other site's page has it sent.
  private static func cookie(_ value: String, maxAge: Int) -> Cookie {
    Cookie(
      name: Credentials.cookie, value: value, maxAge: maxAge, path: "/", secure: false, httpOnly: true,
      sameSite: .strict)
  }
}
