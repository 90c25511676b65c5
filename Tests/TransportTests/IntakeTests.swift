import Foundation
import Harness
import Testing
import Transport
import WireProtocol

/// What may wait here of what peers send, whatever its framing: the reference are the limits of PROTOCOL.md.
@Suite(.serialized) struct IntakeTests {
  private static func port(of endpoint: String) throws -> Int {
    try #require(Int(endpoint.split(separator: ":").last ?? ""))
  }

  private static let welcome = Message.welcome(
    Welcome(workerID: 1, heartbeatSeconds: 1))

  private static func ping(_ sequence: UInt64) throws -> [[UInt8]] {
    try EncodedMessage(.ping, envelope: Envelope(type: .ping, sequence: sequence)).frames
  }

  /// A message of frames without end, from many who have not been welcomed: each is cut off.
  @Test func strangersThatNeverEnd() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      try Self.sendWithoutEnd()
    }
    printOutput(ended?.standardOutputContent)
  }

  private static func sendWithoutEnd() throws {
    let router = try Router(waker: Waker())
    defer { router.close() }
    let port = try Self.port(of: try router.bind("tcp://127.0.0.1:0"))
    var peers: [RawPeer] = []
    let before = try OwnMemory.residentBytes()
    for _ in 0..<64 {
      let peer = try #require(RawPeer(port: port))
      for _ in 0..<16 { _ = peer.send([UInt8](repeating: 7, count: 64 << 10), more: true) }
      peers.append(peer)
    }
    for peer in peers { #expect(peer.isEnded()) }
    #expect(try router.poll(timeout: 0).isEmpty)
    // What 64 of them would hold is 64 MiB.
    let growth = try OwnMemory.residentBytes() - before
    print("64 strangers: \(growth >> 20) MiB more")
    #expect(growth < 32 << 20, "\(growth) bytes")
    // Others are served as before.
    let honest = try #require(RawPeer(port: port))
    #expect(honest.send(try Self.ping(1)))
    var came = 0
    for _ in 0..<100 where came == 0 { came += try router.poll(timeout: 0.1).count }
    #expect(came == 1)
    withExtendedLifetime(honest) {}
  }

  /// As fast as it goes: what it takes until it is cut off is what a connection carries in a few hundredths of a second,
  /// so that how much this is depends on the machine.
  @Test func aFlood() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      try Self.flood()
    }
    printOutput(ended?.standardOutputContent)
  }

  private static func flood() throws {
    let router = try Router(waker: Waker())
    defer { router.close() }
    let port = try Self.port(of: try router.bind("tcp://127.0.0.1:0"))
    let peer = try #require(RawPeer(port: port))
    let before = try OwnMemory.residentBytes()
    var most = 0
    let frame = [UInt8](repeating: 7, count: 1 << 20)
    while peer.sentBytes < 2 << 30, peer.send(frame, more: true) {
      most = max(most, try OwnMemory.residentBytes() - before)
    }
    print("a flood: cut off after \(peer.sentBytes >> 20) MiB, at most \(most >> 20) MiB more in memory")
    #expect(peer.sentBytes < 2 << 30)
  }

  /// One that has been welcomed may have more on its way, but not without end; whose it was is told.
  @Test func aWorkerThatNeverEnds() throws {
    var options = TransportOptions()
    options.intake.workerBytes = 1 << 20
    let router = try Router(waker: Waker(), options: options)
    defer { router.close() }
    let peer = try #require(RawPeer(port: try Self.port(of: try router.bind("tcp://127.0.0.1:0"))))
    #expect(peer.send(try Self.ping(1)))
    var known: PeerID?
    for _ in 0..<100 where known == nil { known = try router.poll(timeout: 0.1).first?.peer }
    let id = try #require(known)
    try router.send(
      Self.welcome, to: id, of: RunTerm(RunNumber(1), term: 1), session: SessionID(high: 1, low: 1))
    // More than a stranger may, and less than a worker: nothing happens.
    for _ in 0..<8 { #expect(peer.send([UInt8](repeating: 7, count: 64 << 10), more: true)) }
    #expect(try router.poll(timeout: 0.3).isEmpty)
    for _ in 0..<16 { _ = peer.send([UInt8](repeating: 7, count: 64 << 10), more: true) }
    #expect(peer.isEnded())
    var failures: [ProtocolError] = []
    for _ in 0..<100 where failures.isEmpty {
      for case (id, .failure(let error)) in try router.poll(timeout: 0.1) { failures.append(error) }
    }
    #expect(failures.first?.kind == .limit)
    // ZeroMQ notices a little later.
    var lost = router.takeLostConnections()
    for _ in 0..<100 where lost.isEmpty {
      _ = try router.poll(timeout: 0.1)
      lost = router.takeLostConnections()
    }
    #expect(lost.peers == [id])
  }

  /// Everything that honest workers have on its way waits while the coordinator does other things.
  @Test func honestTransfers() throws {
    let pair = try TransportTests.Pair("tcp://127.0.0.1:0")
    defer { pair.close() }
    try pair.dealer.send(TransportTests.hello, of: .none, session: .none)
    try pair.router.send(
      Self.welcome, to: try pair.atRouter().peer, of: RunTerm(RunNumber(1), term: 1),
      session: SessionID(high: 1, low: 1))
    _ = try pair.atDealer()
    for attempt in 1...3 {
      let result = TransportTests.result(bytes: 40_000_000)
      try pair.dealer.send(
        .result(result), of: RunTerm(RunNumber(1), term: 1), session: SessionID(high: 1, low: 1))
      for _ in 0..<5 { try pair.turn() }
      for _ in 0..<10 { _ = try pair.dealer.poll(timeout: 0.02) }
      #expect(try pair.atRouter().received.get().1 == .result(result), "\(attempt)")
    }
  }
}
