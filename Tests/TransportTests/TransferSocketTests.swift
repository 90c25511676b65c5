import Digests
import Foundation
import Harness
import Testing
import Transport
import WireProtocol

/// Transfers over real sockets.
@Suite(.serialized) struct TransferSocketTests {
  private static let session = SessionID(high: 1, low: 2)

  /// The coordinator refuses a result at its offer; the worker hears it as of any other.
  @Test func refusal() throws {
    let pair = try TransportTests.Pair("tcp://127.0.0.1:0")
    defer { pair.close() }
    pair.router.resultJudge = { _, envelope, _ in envelope.work.term == 4 ? .refuse(.stale) : .take }
    try pair.dealer.send(.ping, of: .none, session: .none)
    try pair.router.send(.pong, to: try pair.atRouter().peer, of: .none, session: .none)
    #expect(try pair.atDealer().get().1 == .pong)
    let result = TransportTests.result(bytes: 3_000_000)
    try pair.dealer.send(.result(result), of: RunTerm(RunNumber(1), term: 4), session: Self.session)
    let (envelope, answer) = try pair.atDealer().get()
    #expect(answer == .resultAck(ResultAck(attempt: 3, outcome: .stale)))
    #expect(envelope.work.term == 4 && envelope.session == Self.session)
    try pair.dealer.send(.result(result), of: RunTerm(RunNumber(1), term: 5), session: Self.session)
    #expect(try pair.atRouter().received.get().1 == .result(result))
  }

  /// A worker that leaves sends its last result to the end, however many times credit has to come for it.
  @Test func flushingATransfer() throws {
    let pair = try TransportTests.Pair("tcp://127.0.0.1:0")
    try pair.dealer.send(.ping, of: .none, session: .none)
    try pair.router.send(.pong, to: try pair.atRouter().peer, of: .none, session: .none)
    #expect(try pair.atDealer().get().1 == .pong)
    let result = Message.result(TransportTests.result(bytes: 20_000_000))
    try pair.dealer.send(result, of: RunTerm(RunNumber(1), term: 4), session: Self.session)
    try pair.dealer.send(.goodbye, of: RunTerm(RunNumber(1), term: 4), session: Self.session)
    // The two ends have to talk to each other while one of them closes.
    let dealer = Sent(pair.dealer)
    let thread = Thread { dealer.value.close(flushing: true) }
    thread.start()
    var came: [Message] = []
    for _ in 0..<500 where came.count < 2 {
      for (_, received) in try pair.router.poll(timeout: 0.02) {
        let message = try received.get().1
        if case .transfer = message { continue }
        came.append(message)
      }
    }
    #expect(came == [result, .goodbye])
    pair.router.close()
  }

  private struct Sent: @unchecked Sendable {
    let value: Dealer
    init(_ value: Dealer) { self.value = value }
  }

  /// Many workers that read nothing cost the coordinator no copies of what it has for them, and are lost after a
  /// bounded time, each with its reason.
  @Test func slowReaders() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      try Self.sendToSlowReaders()
    }
    printOutput(ended?.standardOutputContent)
  }

  private static func sendToSlowReaders() throws {
    var options = TransportOptions()
    options.transfers.stallSeconds = 3
    let router = try Router(waker: Waker(), options: options)
    defer { router.close() }
    let endpoint = try router.bind("tcp://127.0.0.1:0")
    // They take next to nothing from the network by themselves, as their memory is this process's as well.
    var reader = TransportOptions()
    reader.queuedMessages = 1
    reader.messagesPerPoll = 1
    let dealers = try (0..<64).map { _ in
      try Dealer(connect: endpoint, waker: Waker(), options: reader)
    }
    defer { for dealer in dealers { dealer.close(flushing: false) } }
    for dealer in dealers { try dealer.send(.ping, of: .none, session: .none) }
    var peers = Set<PeerID>()
    for _ in 0..<200 where peers.count < 64 {
      for (peer, _) in try router.poll(timeout: 0.05) { peers.insert(peer) }
    }
    #expect(peers.count == 64, "\(peers.count)")
    let values = [Float](repeating: 1, count: 4 << 20)
    let message = Message.parameters(
      ParametersMessage(
        tier: 0, version: 1, digest: Digest.sha256("x"), values: WireObject(name: "tier", sharing: values)))
    let before = try OwnMemory.residentBytes()
    for peer in peers {
      try router.send(message, to: peer, of: RunTerm(RunNumber(1), term: 1), session: Self.session)
    }
    // Each takes its offer and gives credit, but reads no chunk.
    for dealer in dealers { #expect(try dealer.poll(timeout: 10).count == 1) }
    for _ in 0..<10 { _ = try router.poll(timeout: 0.05) }
    #expect(router.transfers.filter { $0.status.bytes == 4 << 20 }.count == 64)
    let growth = try OwnMemory.residentBytes() - before
    var lost = Set<PeerID>()
    for _ in 0..<200 where lost.count < 64 {
      for case (let peer, .failure(let error)) in try router.poll(timeout: 0.05) {
        #expect(error.kind == .stalled && error.reason.contains("PARAMETERS"), "\(error)")
        lost.insert(peer)
      }
    }
    #expect(lost == peers, "\(lost.count) lost")
    // Copies of 64 windows would be 256 MiB.
    print("64 slow readers of 16 MiB each: resident memory grew by \(growth >> 20) MiB")
    #expect(growth < 128 << 20, "\(growth) bytes")
  }
}
