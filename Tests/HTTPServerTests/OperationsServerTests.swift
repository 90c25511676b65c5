import CoreMetrics
import Dispatch
import Foundation
import Harness
import Logging
import Testing

@testable import HTTPServer
@testable import Observability

/// Real servers, asked over real sockets. One test after the other: each waits on a thread of Swift's, of which a server
/// needs one to end.
@Suite(.serialized) enum ServerTests {}

extension ServerTests {
  @Suite struct OperationsServerTests {
    let health = Health()
    let metrics = MetricsRegistry()

    func withServer<R>(token: String? = nil, _ body: (UInt16) throws -> R) throws -> R {
      let server = try OperationsServer(
        host: "127.0.0.1", port: 0, token: token, health: health, metrics: metrics,
        logger: Logger(label: "test"))
      defer { server.stop() }
      return try body(UInt16(server.port))
    }

    @Test func healthAndReadiness() throws {
      try withServer { (port: UInt16) throws in
        #expect(try get(Int(port), "/healthz") == HTTPAnswer("200", "starting\n"))
        #expect(try get(Int(port), "/readyz") == HTTPAnswer("503", "starting\n"))
        health.turn()
        #expect(try get(Int(port), "/healthz") == HTTPAnswer("200", "alive\n"))
        health.ready("computing: 1 of 2 shards of step 3 are done")
        #expect(
          try get(Int(port), "/readyz") == HTTPAnswer("200", "computing: 1 of 2 shards of step 3 are done\n"))
        health.notReady("stopping")
        #expect(try get(Int(port), "/readyz") == HTTPAnswer("503", "stopping\n"))
        #expect(try get(Int(port), "/other").status == "404")
        #expect(
          try HealthProbe.ask(port: port, path: "/healthz") == Health.Answer(isGood: true, reason: "alive"))
        #expect(
          try HealthProbe.ask(port: port, path: "/readyz") == Health.Answer(isGood: false, reason: "stopping")
        )
      }
    }

    /// An hour to start, half a minute for a turn after that.
    @Test func aLoopThatHangs() {
      let begun = DispatchTime.now()
      #expect(health.liveness(at: begun + 3590).isGood)
      #expect(!health.liveness(at: begun + 3610).isGood)
      health.turn()
      let turned = DispatchTime.now()
      #expect(health.liveness(at: turned + 29).isGood)
      #expect(
        health.liveness(at: turned + 31)
          == Health.Answer(isGood: false, reason: "the main loop has not turned for 31 s"))
    }

    /// Whoever opens connections and says nothing keeps no more than 64 of the program's descriptors, and nobody out, be it
    /// for the time that they stay open.
    @Test func connectionsAreLimited() throws {
      try withServer { (port: UInt16) throws in
        let silent = (0..<200).compactMap { _ in connected(to: Int(port)) }
        #expect(silent.count == 200)
        // However slow the machine is, some are taken, and then never too many.
        #expect(waitUntil(seconds: 60) { (try? accepted(at: port)) ?? 0 >= 1 })
        for _ in 0..<10 {
          usleep(50_000)
          let accepted = try accepted(at: port)
          #expect(accepted >= 1 && accepted <= OperationsServer.mostConnections, "\(accepted)")
        }
        #expect(waitUntil(seconds: 60) { (try? get(Int(port), "/healthz").status) == "200" })
        #expect(try accepted(at: port) >= 1)
        for descriptor in silent { close(descriptor) }
        #expect(waitUntil(seconds: 10) { (try? get(Int(port), "/healthz").status) == "200" })
      }
    }

    /// Connections to a port of 127.0.0.1 that a program has taken. Linux lists the others without an inode.
    private func accepted(at port: UInt16) throws -> Int {
      let end = "0100007F:" + String(format: "%04X", port)
      // The list has no size, and comes page by page: Foundation's `String(contentsOfFile:)` has the first one alone.
      let file = try #require(FileHandle(forReadingAtPath: "/proc/net/tcp"))
      let list = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
      return list.split(separator: "\n").count { line in
        let fields = line.split(separator: " ")
        return fields.count > 9 && fields[1] == end && fields[3] == "01" && fields[9] != "0"
      }
    }

    @Test func metricsWantTheTokenIfThereIsOne() throws {
      Meter(label: "nl_step", factory: metrics).set(7)
      let text = "# TYPE nl_step gauge\nnl_step 7\n"
      #expect(try withServer { try get(Int($0), "/metrics") } == HTTPAnswer("200", text))
      try withServer(token: "0123456789abcdef") { (port: UInt16) throws in
        #expect(try get(Int(port), "/metrics").status == "401")
        #expect(
          try get(Int(port), "/metrics", headers: ["Authorization: Bearer 0123456789abcdeg"]).status == "401")
        #expect(
          try get(Int(port), "/metrics", headers: ["Authorization: Bearer 0123456789abcdef"])
            == HTTPAnswer("200", text))
        #expect(try get(Int(port), "/healthz").status == "200")
      }
    }

    @Test func nobodyThereIsAnError() {
      #expect(throws: OperationsError.self) { try HealthProbe.ask(port: 1, path: "/healthz") }
      #expect(throws: OperationsError.self) { try HealthProbe.answer("SSH-2.0-OpenSSH_9.2") }
      #expect(throws: OperationsError.self) { try HealthProbe.answer("") }
    }
  }
}
