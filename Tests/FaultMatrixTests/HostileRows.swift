import Foundation
import Harness
import Tensors
import Testing
import Transport
import WireProtocol

@testable import Service

/// Peers that are no workers of ours.
extension FaultMatrix {
  /// Row 12: each kind of broken message, again and again; each is dropped or REJECTed, and the memory stays flat.
  @Test func row12BadMessages() throws {
    try Self.row(12, "wrong magic or version, oversize, negative lengths") { findings in
      let cluster = try Cluster(["num_steps": 300])
      // So slow that the run outlasts the messages, however long they take to be sent; another worker ends it.
      let slow = try cluster.worker("compute.delay=1")
      try cluster.wait(forStep: 2)
      let rounds = Self.isFull ? 100 : 6
      var rejected = Set<String>()
      var before = 0
      for round in 0..<rounds {
        for kind in BadMessage.allCases {
          let rogue = try RawDealer(cluster.address)
          rogue.send(kind.frames)
          findings.inject()
          // In the first round, whoever is answered at all is answered by REJECT.
          guard round == 0, let answer = rogue.receive(seconds: 0.3), answer.count >= 2 else { continue }
          findings.expect(
            answer[1].first == MessageType.reject.rawValue, "\(kind) was answered by \(answer[1].first ?? 0)")
          rejected.insert(kind.rawValue)
        }
        // What is kept for all time, as buffers, has been taken by then.
        if round == 1 { before = try residentBytes(cluster.coordinator.id) }
      }
      findings.expect(rejected.contains("wrongMajor"), "another major version is not told why: \(rejected)")
      let growth = try residentBytes(cluster.coordinator.id) - before
      findings.note("REJECTed: \(rejected.sorted()); the others dropped; memory grew by \(growth >> 10) KiB")
      findings.expect(growth < 16 << 20, "the coordinator grew by \(growth >> 20) MiB")
      try cluster.worker()
      slow.terminate()
      try cluster.finish()
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 19: 1,000 connections that say nothing or nonsense keep honest workers neither from working nor from joining.
  @Test func row19RawConnections() throws {
    try Self.row(19, "1,000 raw TCP connections") { findings in
      let cluster = try Cluster(["num_steps": 500])
      try cluster.worker("compute.delay=0.005")
      try cluster.wait(forStep: 5)
      let before = try residentBytes(cluster.coordinator.id)
      let connections = try RawConnections(1000, to: cluster.address)
      findings.inject(1000)
      let opened = Date()
      let step = cluster.run.step
      let late = try cluster.worker()
      try cluster.wait(forStep: step + 20)
      let isIn = waitUntil(seconds: 30) { late.errors.contains("joined") }
      findings.expect(isIn, "a new worker cannot join: \(late.errors)")
      findings.recovered("a new worker joined", seconds: Date().timeIntervalSince(opened), limit: 10)
      let growth = try residentBytes(cluster.coordinator.id) - before
      findings.note("memory grew by \(growth >> 10) KiB")
      findings.expect(growth < 64 << 20, "the coordinator grew by \(growth >> 20) MiB")
      try cluster.finish()
      withExtendedLifetime(connections) {}
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 19: what was said in one session means nothing in another, nor does what another was asked for.
  @Test func row19Replay() throws {
    try Self.row(19, "replay across sessions") { findings in
      let cluster = try Cluster(["num_steps": 200], faults: Self.shortLease)
      let first = try Impostor(cluster.address)
      let assignment = try first.work()
      first.leave()
      let second = try Impostor(cluster.address)
      let other = try second.work()
      // In turn: the old session on the new connection, the old attempt in the new session, an old term.
      let forged = ResultMessage(
        attempt: assignment.attempt, lossSum: 1, tokens: 1, seconds: 0, gradients: [])
      try second.send(.result(forged), session: first.session, term: second.term)
      try second.send(.result(forged), session: second.session, term: second.term)
      var late = forged
      late.attempt = other.attempt
      try second.send(.result(late), session: second.session, term: second.term - 1)
      findings.inject(3)
      let outcomes = try second.outcomes(count: 2)
      findings.expect(
        outcomes == [.stale, .stale], "replayed results were answered by \(outcomes.map(\.rawValue))")
      second.leave()
      try cluster.worker()
      try cluster.finish()
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 19: with keys, nobody gets in without one that is allowed, and honest workers are not disturbed.
  @Test func row19UnknownKey() throws {
    try Self.row(19, "unknown key, no key") { findings in
      let keys = try Keys(["coordinator", "worker", "stranger"])
      try keys.scratch.write("allowed", keys.publicKey("worker"))
      let cluster = try Cluster(
        ["num_steps": 200],
        flags: ["--key", keys.path("coordinator"), "--allow-keys", keys.path("allowed")])
      let server = ["--server-key", keys.path("coordinator.pub")]
      try cluster.worker("compute.delay=0.005", flags: server + ["--key", keys.path("worker")])
      try cluster.wait(forStep: 5)
      let begun = cluster.run.step
      let strangers = try (0..<5).map { _ in
        try cluster.worker(flags: server + ["--key", keys.path("stranger")])
      }
      let bare = try cluster.worker()
      findings.inject(6)
      for stranger in strangers {
        let result = try stranger.wait(seconds: 30)
        findings.expect(result.status != 0, "a stranger got in")
        findings.expect(result.errors.contains("--allow-keys"), "it is not told why: \(result.errors)")
      }
      findings.expect(!bare.errors.contains("joined"), "a worker without a key got in")
      bare.terminate()
      findings.note("\(cluster.run.step - begun) steps meanwhile")
      let result = try cluster.finish()
      findings.expect(
        result.errors.contains(try keys.publicKey("stranger")), "the stranger is not named: \(result.errors)")
      findings.expect(
        try Int(cluster.ledger("SELECT count(*) FROM workers")) == 1, "more than one worker joined")
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }
}

/// Keys by `nl-tool keygen`.
struct Keys {
  let scratch: Scratch

  init(_ names: [String]) throws {
    scratch = try Scratch()
    for name in names { try Program.tool.run(["keygen", "--output", path(name)]).expectSuccess() }
  }

  func path(_ name: String) -> String { scratch.path(name) }

  /// The key itself, without the name behind it.
  func publicKey(_ name: String) throws -> String {
    let text = try String(contentsOfFile: path(name + ".pub"), encoding: .utf8)
    return text.split(separator: "\n").last?.split(separator: " ").first.map(String.init) ?? ""
  }
}

/// A peer that joins as a worker does, takes work, and does not do it.
private final class Impostor {
  private let dealer: Dealer
  private(set) var session = SessionID.none
  private(set) var term: UInt64 = 0

  init(_ address: String) throws {
    dealer = try Dealer(connect: address, waker: Waker())
    let hello = Hello(
      program: "impostor", numericProfile: "f32/1", isa: "none", threads: 1, host: "nowhere", processID: 1)
    try dealer.send(.hello(hello), of: .none, session: .none)
    let (envelope, run) = try next("ENTER_RUN") { message -> EnterRun? in
      if case .enterRun(let run) = message { run } else { nil }
    }
    (session, term) = (envelope.session, envelope.work.term)
    try dealer.send(
      .ready(Ready(modelSHA256: run.modelSHA256)), of: RunTerm(RunNumber(1), term: term), session: session)
    let (_, probe) = try next("PROBE") { message -> Probe? in
      if case .probe(let probe) = message { probe } else { nil }
    }
    let digest = try NumericProbe.sha256(
      seed: probe.seed, threads: ThreadPool(threads: 1), precision: .f32)
    try dealer.send(
      .probeResult(ProbeResult(sha256: digest)), of: RunTerm(RunNumber(1), term: term), session: session)
  }

  /// The next thing that it is asked to compute.
  func work() throws -> AssignMessage {
    try next("ASSIGN") { message -> AssignMessage? in
      if case .assign(let assign) = message { assign } else { nil }
    }.1
  }

  func send(_ message: Message, session: SessionID, term: UInt64) throws {
    try dealer.send(message, of: RunTerm(RunNumber(1), term: term), session: session)
  }

  /// The answers to the next results.
  func outcomes(count: Int) throws -> [ResultOutcome] {
    try (0..<count).map { _ in
      try next("RESULT_ACK") { message -> ResultOutcome? in
        if case .resultAck(let ack) = message { ack.outcome } else { nil }
      }.1
    }
  }

  func leave() {
    try? dealer.send(.goodbye, of: RunTerm(RunNumber(1), term: term), session: session)
    dealer.close(flushing: true)
  }

  private var pending: [(Envelope, Message)] = []

  private func next<Value>(_ name: String, _ pick: (Message) -> Value?) throws -> (Envelope, Value) {
    let deadline = Date().addingTimeInterval(20)
    while Date() < deadline {
      while !pending.isEmpty {
        let (envelope, message) = pending.removeFirst()
        if let value = pick(message) { return (envelope, value) }
      }
      pending = try dealer.poll(timeout: 0.2).compactMap { try? $0.get() }
    }
    throw HarnessError("\(name) did not come")
  }
}
