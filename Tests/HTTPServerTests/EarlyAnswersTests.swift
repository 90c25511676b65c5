import Harness
import Hummingbird
import Logging
import NIOCore
import Testing

@testable import HTTPServer

extension ServerTests {
  /// What is answered on the connection itself, beside what takes the server's usual way.
  @Suite struct EarlyAnswersTests {
    /// A server that knows `/known` early, but for "nobody", and has "late" for whatever comes to its router.
    private func withServer<R>(_ body: (Int) throws -> R) throws -> R {
      let router = Hummingbird.Router()
      router.get("known") { _, _ in "late" }
      router.get("slow") { _, _ in
        try await Task.sleep(for: .milliseconds(300))
        return "slow"
      }
      let host = try HTTPHost(
        host: "127.0.0.1", port: 0, router: router, limits: .init(connections: 8, idleSeconds: 2),
        early: { request, address in
          guard request.path == "/known", address == "127.0.0.1",
            request.headerFields[.authorization] != "nobody"
          else { return nil }
          return EarlyAnswer(headers: .init([.contentType: "text/plain"]), body: ByteBuffer(string: "early"))
        }, logger: Logger(label: "test"))
      defer { host.stop() }
      return try body(host.port)
    }

    private func bodies(_ port: Int, _ requests: (String, [String])...) throws -> [String] {
      try askTogether(port, requests.map { ($0.0, ["Host: a"] + $0.1) }).map(\.body)
    }

    @Test func whatIsKnownIsAnsweredEarly() throws {
      try withServer { (port: Int) throws in
        let said = try bodies(
          port, ("/known", []), ("/known", ["Connection: keep-alive"]), ("/known", ["Authorization: nobody"]),
          ("/slow", []))
        #expect(said == ["early", "early", "late", "slow"])
      }
    }

    /// RFC 9112, 9.3.2: answers come in the order of their requests.
    @Test func noAnswerOvertakesAnother() throws {
      try withServer { (port: Int) throws in
        #expect(
          try bodies(port, ("/known", []), ("/slow", []), ("/known", []), ("/slow", [])) == [
            "early", "slow", "late", "slow",
          ])
      }
    }

    @Test func whatHasABodyOrWantsSomethingGoesTheUsualWay() throws {
      try withServer { (port: Int) throws in
        #expect(try get(port, "/known").body == "late", "it closes the connection")
        #expect(try ask(port, "GET", "/known", headers: ["Host: a"], body: "x").body == "late")
        #expect(try bodies(port, ("/known", ["Content-Length: 0"]), ("/slow", [])) == ["late", "slow"])
        #expect(try ask(port, "POST", "/known", headers: ["Host: a"], body: "").status == "404")
      }
    }

    /// A server's own lines are those of every answer.
    @Test func headsAreThoseOfOtherAnswers() throws {
      try withServer { (port: Int) throws in
        let answers = try askTogether(port, [("/known", ["Host: a"]), ("/slow", ["Host: a"])])
        for answer in answers {
          #expect(answer.status == "200")
          #expect(answer.head.contains("Server: nested-learning"))
          #expect(answer.head.contains(#/Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/#))
          #expect(answer.head.contains(#/Content-Length: [45]/#))
        }
      }
    }

    @Test func idleConnectionsAreClosed() throws {
      try withServer { (port: Int) throws in
        #expect(try askTogether(port, [("/known", ["Host: a"])], closes: false).map(\.body) == ["early"])
      }
    }

    /// The example of RFC 9110, 5.6.7.
    @Test func theTime() {
      #expect(HTTPClock.text(of: 784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
    }
  }
}
