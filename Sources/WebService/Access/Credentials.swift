import Digests
import HTTPServer
import HTTPTypes

/// What a request brings to be let in: a token of a program, or the cookie of a browser that has logged in.
struct Credentials {
  static let cookie = "nl_login"

  private let bearer: String?
  private let login: String?

  init(_ headers: HTTPFields) {
    bearer = headers[.authorization].flatMap { $0.hasPrefix("Bearer ") ? String($0.dropFirst(7)) : nil }
    login =
      headers[values: .cookie].lazy.flatMap { $0.split(separator: ";") }.compactMap { cookie in
        let parts = cookie.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
        return parts.count == 2 && parts[0] == Self.cookie ? String(parts[1]) : nil
      }.first
  }

  var areThere: Bool { bearer != nil || login != nil }
  var isLoggedIn: Bool { login != nil }

  func areRight(_ token: String) -> Bool {
    if let bearer, Secret.isSame(bearer, token) { return true }
    guard let login else { return false }
    return Secret.isSame(login, Self.loginValue(of: token))
  }

  /// What the cookie of a browser holds that has logged in: whoever sees it learns nothing of the token.
  static func loginValue(of token: String) -> String { Digest.sha256("nested-learning login\n\(token)") }
}
