import Foundation
import Harness
import JSON
import Testing

@testable import WebService

/// Who is let in, and who is not.
@Suite struct AccessTests {
  private static let token = "0123456789abcdef-a-token"

  @Test func otherNamesAndOtherPages() throws {
    let service = try RunningService()
    let path = "/nested-learning/status"
    for host in ["evil.example", "127.0.0.1.evil.example:80", "[::2]", ""] {
      let answer = try ask(service.port, "GET", path, headers: ["Host: \(host)"])
      #expect(answer.status == "421" || answer.status == "400", "\(host): \(answer.status)")
    }
    for host in ["localhost", "127.0.0.1:\(service.port)", "[::1]:80"] {
      #expect(try ask(service.port, "GET", path, headers: ["Host: \(host)"]).status == "200")
    }
    for origin in [
      "http://evil.example", "null", "http://127.0.0.1:1", "https://evil.example:\(service.port)",
    ] {
      let answer = try service.answer("POST", "/nested-learning/stop", headers: ["Origin: \(origin)"])
      #expect(answer.status == "403", "\(origin)")
    }
    #expect(try service.answer("GET", path, headers: ["Sec-Fetch-Site: cross-site"]).status == "403")
    let own = try service.answer("GET", path, headers: ["Origin: http://127.0.0.1:\(service.port)"])
    #expect(own.status == "200")
    for line in ["Content-Security-Policy: default-src 'none'", "X-Content-Type-Options: nosniff"] {
      #expect(own.head.contains(line))
    }
    // What a form of another site can send is not read.
    let form = try ask(
      service.port, "POST", "/nested-learning/start",
      headers: ["Host: 127.0.0.1", "Content-Type: text/plain"], body: "{}")
    #expect(form.status == "415")
  }

  @Test func theTokenByHeaderAndByCookie() throws {
    let file = try Scratch()
    let service = try RunningService(["--token", try file.write("token", Self.token + "\n")])
    let path = "/nested-learning/status"
    #expect(try service.answer("GET", path).status == "401")
    #expect(try service.answer("GET", "/healthz").status == "200")
    #expect(try service.answer("GET", "/metrics").status == "401")
    #expect(try service.answer("GET", "/", headers: ["Accept: text/html"]).status == "303")
    #expect(try service.answer("GET", path, headers: ["Authorization: Bearer \(Self.token)"]).status == "200")
    // With a token the service may have any name, as behind a proxy.
    let other = try ask(
      service.port, "GET", path, headers: ["Host: train.example", "Authorization: Bearer \(Self.token)"])
    #expect(other.status == "200")
    let login = try service.answer("POST", "/login", ["token": .string(Self.token)])
    #expect(
      login.status == "200" && login.head.contains("HttpOnly") && login.head.contains("SameSite=Strict"))
    let cookie = login.head.firstMatch(of: #/Set-Cookie: (nl_login=[0-9a-f]+)/#).map { String($0.1) } ?? ""
    #expect(!cookie.contains(Self.token))
    #expect(try service.answer("GET", path, headers: ["Cookie: \(cookie)"]).status == "200")
    #expect(try service.answer("GET", path, headers: ["Cookie: nl_login=0"]).status == "401")
  }

  /// What is answered without a look at the disk is so for those alone who are let in, and as when it is made.
  @Test func whatIsKnownAlready() throws {
    let file = try Scratch()
    let open = try RunningService()
    let host = "Host: 127.0.0.1:\(open.port)"
    func lines(_ answer: HTTPAnswer) -> Set<String> {
      Set(answer.head.split(separator: "\r\n").map(String.init).filter { !$0.hasPrefix("Date:") })
    }
    let made = try first(open, [host])
    #expect(made.status == "200")
    for headers in [[host], ["Host: localhost"], [host, "Origin: http://127.0.0.1:\(open.port)"]] {
      let known = try first(open, headers)
      #expect(known == made && lines(known) == lines(made), "\(headers)")
    }
    #expect(try first(open, ["Host: evil.example"]).status == "421")
    #expect(try first(open, [host, "Origin: http://evil.example"]).status == "403")
    #expect(try first(open, [host, "Sec-Fetch-Site: cross-site"]).status == "403")

    let closed = try RunningService(["--token", try file.write("token", Self.token + "\n")])
    let right = ["Authorization: Bearer \(Self.token)"]
    let cookie = ["Cookie: a=b; nl_login=\(Credentials.loginValue(of: Self.token))"]
    for headers in [right, right, cookie, right] {
      #expect(try first(closed, ["Host: a"] + headers).status == "200")
    }
    for headers in [[], ["Authorization: Bearer no"], ["Cookie: nl_login=no"]] {
      #expect(try first(closed, ["Host: a"] + headers).status == "401")
    }
  }

  /// The status as the first request of a connection that goes on.
  private func first(_ service: RunningService, _ headers: [String]) throws -> HTTPAnswer {
    try askTogether(
      service.port, [("/nested-learning/status", headers), ("/healthz", ["Host: localhost"])])[0]
  }

  @Test func guessesAreCounted() throws {
    let file = try Scratch()
    let service = try RunningService(["--token", try file.write("token", Self.token)])
    let answers = try (0..<30).map { number in
      try service.answer("GET", "/nested-learning/status", headers: ["Authorization: Bearer wrong-\(number)"])
        .status
    }
    #expect(answers.allSatisfy { $0 == "401" || $0 == "429" } && answers.last == "429")
    // A minute may have begun anew in between.
    #expect(answers.count { $0 == "401" } <= 20)
    #expect(try service.answer("POST", "/login", ["token": "wrong"]).status == "429")
    // Who guessed is kept out with the right one, too; others are not, whom a proxy on this machine tells apart.
    let right = "Authorization: Bearer \(Self.token)"
    for (address, status) in [("", "429"), ("10.0.0.7", "200"), ("2001:db8::7", "200"), ("evil", "429")] {
      let headers = address.isEmpty ? [right] : [right, "X-Real-IP: \(address)"]
      #expect(try service.answer("GET", "/nested-learning/status", headers: headers).status == status)
    }
  }

  @Test func otherMachinesNeedAToken() throws {
    let result = try Program.coord.run(["serve", "--listen-http", "0.0.0.0:0"])
    #expect(result.status != 0 && result.everything.contains("--token"))
  }
}
