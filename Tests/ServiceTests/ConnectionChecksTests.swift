import Coordination
import Testing
import WireProtocol

@testable import Service
@testable import Transport

/// A connection that ends costs one worker three messages, if it was a worker's, and nobody anything otherwise.
@Suite struct ConnectionChecksTests {
  private static let workers = Set((0..<500).map { PeerID("worker \($0)") })

  private func lost(_ peers: [PeerID], uncounted: Bool = false) -> LostConnections {
    var lost = LostConnections()
    for peer in peers { lost.add(peer) }
    lost.hasUncounted = uncounted
    return lost
  }

  /// Asks every 10 ms for a second.
  private func told(_ checks: inout ConnectionChecks, from start: Double) -> [[PeerID]] {
    (0..<100).map { checks.due(.zero + (start + Double($0) / 100)).sorted { "\($0)" < "\($1)" } }
      .filter { !$0.isEmpty }
  }

  @Test func nothingEnds() {
    var checks = ConnectionChecks()
    #expect(checks.next == .never)
    #expect(told(&checks, from: 0).isEmpty)
  }

  /// Whoever has no key and is no worker cannot make the coordinator write to those who are.
  @Test func strangersThatComeAndGo() {
    var checks = ConnectionChecks()
    for n in 0..<1000 {
      checks.ended(
        lost([PeerID("stranger \(n)")]), isWorker: Self.workers.contains, local: [],
        now: .zero + Double(n) / 1000)
      #expect(checks.due(.zero + Double(n) / 1000).isEmpty)
    }
    #expect(checks.next == .never)
  }

  /// Only the worker whose connection has ended, after 10, 60 and 110 ms.
  @Test func aWorker() {
    var checks = ConnectionChecks()
    let worker = PeerID("worker 7")
    checks.ended(
      lost([PeerID("stranger"), worker]), isWorker: Self.workers.contains, local: [PeerID("local")],
      now: .zero)
    #expect(checks.next == Instant.zero + 0.01)
    #expect(told(&checks, from: 0) == [[worker], [worker], [worker]])
    #expect(checks.next == .never)
  }

  /// Of socket files it is not known whose connection has ended, so that all local workers are asked; others are not.
  @Test func localWorkers() {
    var checks = ConnectionChecks()
    let local = [PeerID("worker 1"), PeerID("worker 2")]
    checks.ended(lost([], uncounted: true), isWorker: Self.workers.contains, local: local, now: .zero)
    #expect(told(&checks, from: 0).allSatisfy { $0 == local })
    checks.ended(lost([], uncounted: true), isWorker: Self.workers.contains, local: [], now: .zero + 2)
    #expect(checks.next == .never)
  }

  /// Connections that end one after the other for ever put no look off.
  @Test func withoutEnd() {
    var checks = ConnectionChecks()
    var looks = 0
    for n in 0..<1000 {
      let now = Instant.zero + Double(n) / 1000
      checks.ended(lost([PeerID("worker \(n % 500)")]), isWorker: Self.workers.contains, local: [], now: now)
      if !checks.due(now).isEmpty { looks += 1 }
    }
    #expect((19...21).contains(looks))
  }
}
