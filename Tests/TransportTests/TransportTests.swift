import Digests
import Foundation
import Testing
import Transport
import WireProtocol

/// Real sockets, tcp and ipc, both ends in this process; ZeroMQ's threads do the carrying.
@Suite struct TransportTests {
  /// An address of each kind that nobody uses.
  static func endpoints() -> [String] {
    let path = FileManager.default.temporaryDirectory.appending(
      path: "nl-\(UInt64.random(in: 0...UInt64.max))")
    return ["tcp://127.0.0.1:0", "ipc://\(path.path)"]
  }

  /// A connection, both of whose ends are polled in turn. Of transfers only the messages that they bring are kept.
  final class Pair {
    let router: Router
    let dealer: Dealer
    let endpoint: String
    private var toRouter: [(peer: PeerID, received: Received)] = []
    private var toDealer: [Received] = []

    init(
      _ endpoint: String, options: TransportOptions = TransportOptions()
    ) throws {
      router = try Router(waker: Waker(), options: options)
      self.endpoint = try router.bind(endpoint)
      dealer = try Dealer(connect: self.endpoint, waker: Waker(), options: options)
    }

    func close() {
      dealer.close(flushing: false)
      router.close()
    }

    func turn() throws {
      toDealer += try dealer.poll(timeout: 0.01).filter { !Self.isTransfer($0) }
      toRouter += try router.poll(timeout: 0.01).filter { !Self.isTransfer($0.received) }
    }

    private static func isTransfer(_ received: Received) -> Bool {
      if case .success((_, .transfer)) = received { true } else { false }
    }

    /// The next thing that comes to the coordinator; fails after ten seconds.
    func atRouter() throws -> (peer: PeerID, received: Received) {
      for _ in 0..<500 where toRouter.isEmpty { try turn() }
      guard !toRouter.isEmpty else { throw Nothing() }
      return toRouter.removeFirst()
    }

    func atDealer() throws -> Received {
      for _ in 0..<500 where toDealer.isEmpty { try turn() }
      guard !toDealer.isEmpty else { throw Nothing() }
      return toDealer.removeFirst()
    }
  }

  struct Nothing: Error {}

  static let session = SessionID(high: 1, low: 2)

  static let hello = Message.hello(
    Hello(program: "p", numericProfile: "f", isa: "i", threads: 1, host: "h", processID: 1))

  static func parameters(count: Int) -> Message {
    .parameters(
      ParametersMessage(
        tier: 0, version: 1, digest: Digest.sha256("x"),
        values: WireObject(name: "tier", floats: (0..<count).map { Float($0) * 0.25 })))
  }

  @Test(arguments: endpoints()) func thereAndBack(endpoint: String) throws {
    let pair = try Pair(endpoint)
    defer { pair.close() }
    try pair.dealer.send(Self.hello, of: RunTerm(RunNumber(1), term: 3), session: .none)
    let (peer, received) = try pair.atRouter()
    let (envelope, message) = try received.get()
    #expect(message == Self.hello)
    #expect(
      envelope == Envelope(type: .hello, work: RunTerm(RunNumber(1), term: 3), session: .none, sequence: 1))
    // Nearly 12 chunks each way.
    let large = Self.parameters(count: 750_000)
    try pair.router.send(
      large, to: peer, of: RunTerm(RunNumber(1), term: 4), session: Self.session, correlation: 1)
    let (answer, parameters) = try pair.atDealer().get()
    #expect(parameters == large)
    #expect(
      answer
        == Envelope(
          type: .parameters, work: RunTerm(RunNumber(1), term: 4), session: Self.session, sequence: 1,
          correlation: 1))
    // What is small and need not wait overtakes; what keeps its order does not.
    try pair.dealer.send(
      .result(Self.result(bytes: 3_000_000)), of: RunTerm(RunNumber(1), term: 4), session: Self.session)
    try pair.dealer.send(.goodbye, of: RunTerm(RunNumber(1), term: 4), session: Self.session)
    try pair.dealer.send(.ping, of: RunTerm(RunNumber(1), term: 4), session: Self.session)
    #expect(try pair.atRouter().received.get().1 == .ping)
    #expect(try pair.atRouter().received.get().1 == .result(Self.result(bytes: 3_000_000)))
    #expect(try pair.atRouter().received.get().1 == .goodbye)
  }

  static func result(bytes: Int) -> ResultMessage {
    ResultMessage(
      attempt: 3, lossSum: 1, tokens: 5, seconds: 1,
      gradients: [
        TierGradient(tier: 0, floats: (0..<(bytes / 8)).map { Float($0) }), TierGradient(tier: 1, floats: []),
        TierGradient(tier: 2, floats: (0..<(bytes / 8)).map { Float($0) * 0.5 }),
      ])
  }

  /// Several workers at once, on both kinds of address of one socket.
  @Test func manyPeers() throws {
    let router = try Router(waker: Waker())
    let endpoints = try Self.endpoints().map { try router.bind($0) }
    #expect(router.boundEndpoints == endpoints)
    #expect(endpoints[0].hasPrefix("tcp://127.0.0.1:") && !endpoints[0].hasSuffix(":0"))
    let dealers = try (0..<8).map { try Dealer(connect: endpoints[$0 % 2], waker: Waker()) }
    for dealer in dealers { try dealer.send(Self.hello, of: .none, session: .none) }
    var peers = Set<PeerID>()
    for _ in 0..<100 where peers.count < 8 {
      for (peer, received) in try router.poll(timeout: 0.1) {
        #expect(try received.get().1 == Self.hello)
        peers.insert(peer)
        try router.send(.pong, to: peer, of: .none, session: .none)
      }
    }
    #expect(peers.count == 8)
    for dealer in dealers {
      #expect(try dealer.poll(timeout: 10).map { try $0.get().1 } == [.pong])
      dealer.close(flushing: false)
    }
    router.close()
  }

  /// A name for an address, and an address of the newer family where the machine has one.
  @Test func otherNames() throws {
    let router = try Router(waker: Waker())
    defer { router.close() }
    let port = try router.bind("tcp://127.0.0.1:0").split(separator: ":").last ?? ""
    let named = try Dealer(connect: "tcp://localhost:\(port)", waker: Waker())
    defer { named.close(flushing: false) }
    try named.send(.ping, of: .none, session: .none)
    #expect(try router.poll(timeout: 10).count == 1)
    guard let newer = try? router.bind("tcp://[::1]:0") else { return }
    let dealer = try Dealer(connect: newer, waker: Waker())
    defer { dealer.close(flushing: false) }
    try dealer.send(.ping, of: .none, session: .none)
    #expect(try router.poll(timeout: 10).count == 1)
  }

  @Test func portTaken() throws {
    let first = try Router(waker: Waker())
    let endpoint = try first.bind("tcp://127.0.0.1:0")
    let second = try Router(waker: Waker())
    #expect { try second.bind(endpoint) } throws: { error in
      guard let error = error as? TransportError else { return false }
      return error.kind == .addressInUse && "\(error)".contains(endpoint)
        && "\(error)".contains("choose another port")
    }
    first.close()
    second.close()
  }

  @Test(arguments: [
    "nonsense", "tcp://127.0.0.1", "tcp://127.0.0.1:notaport", "udp://x:1", "tcp://203.0.113.7:5",
  ])
  func badAddresses(endpoint: String) throws {
    let router = try Router(waker: Waker())
    defer { router.close() }
    #expect { try router.bind(endpoint) } throws: {
      ($0 as? TransportError)?.kind == .badAddress && "\($0)".contains(endpoint)
    }
  }

  @Test func badConnectAddress() throws {
    #expect { try Dealer(connect: "tcp://nowhere", waker: Waker()) } throws: {
      ($0 as? TransportError)?.kind == .badAddress
    }
    let long = "ipc:///tmp/" + String(repeating: "x", count: 200)
    #expect { try Dealer(connect: long, waker: Waker()) } throws: { "\($0)".contains("too long") }
  }

  /// A peer that never was, and one that has gone.
  @Test func unreachablePeers() throws {
    let pair = try Pair("tcp://127.0.0.1:0")
    defer { pair.close() }
    #expect { try pair.router.send(.pong, to: PeerID("nobody"), of: .none, session: .none) } throws: {
      ($0 as? TransportError)?.kind == .unreachable
    }
    try pair.dealer.send(.ping, of: .none, session: .none)
    let peer = try pair.atRouter().peer
    pair.dealer.close(flushing: false)
    var failure: TransportError?
    for _ in 0..<100 where failure == nil {
      do { try pair.router.send(.pong, to: peer, of: .none, session: .none) } catch { failure = error }
      _ = try pair.router.poll(timeout: 0.1)
    }
    #expect(failure?.kind == .unreachable)
  }

  /// Nobody listens: sending waits in the socket, and closing does not wait for it.
  /// The end of a connection shows at once, at either end, and to whom it was is found by sending: ZeroMQ by itself
  /// would leave both to wait for the other's silence.
  @Test(arguments: endpoints()) func brokenConnections(endpoint: String) throws {
    let pair = try Pair(endpoint)
    defer { pair.close() }
    try pair.dealer.send(Self.hello, of: RunTerm(RunNumber(1), term: 3), session: .none)
    let (peer, _) = try pair.atRouter()
    try pair.router.send(.pong, to: peer, of: RunTerm(RunNumber(1), term: 3), session: Self.session)
    _ = try pair.atDealer()
    #expect(pair.router.takeLostConnections().isEmpty && !pair.dealer.takeBreak())
    pair.dealer.close(flushing: false)
    var turns = 0
    while pair.router.takeLostConnections().isEmpty, turns < 500 {
      _ = try pair.router.poll(timeout: 0.01)
      turns += 1
    }
    #expect(turns < 500)
    turns = 0
    while turns < 100,
      (try? pair.router.send(.pong, to: peer, of: RunTerm(RunNumber(1), term: 3), session: Self.session))
        != nil
    {
      _ = try pair.router.poll(timeout: 0.01)
      turns += 1
    }
    #expect(turns < 100)
    #expect(pair.router.takeLostConnections().isEmpty, "nothing has happened since")
  }

  @Test(arguments: endpoints()) func aCoordinatorThatIsGone(endpoint: String) throws {
    let pair = try Pair(endpoint)
    try pair.dealer.send(Self.hello, of: RunTerm(RunNumber(1), term: 3), session: .none)
    let (peer, _) = try pair.atRouter()
    try pair.router.send(.pong, to: peer, of: RunTerm(RunNumber(1), term: 3), session: Self.session)
    _ = try pair.atDealer()
    pair.router.close()
    var turns = 0
    while !pair.dealer.takeBreak(), turns < 500 {
      _ = try pair.dealer.poll(timeout: 0.01)
      turns += 1
    }
    #expect(turns < 500)
    pair.dealer.close(flushing: false)
  }

  @Test func nobodyListens() throws {
    let endpoint = try Self.free()
    let dealer = try Dealer(connect: endpoint, waker: Waker())
    try dealer.send(Self.hello, of: .none, session: .none)
    #expect(try dealer.poll(timeout: 0.05).isEmpty)
    #expect(!dealer.takeBreak(), "what has never stood cannot break")
    dealer.close(flushing: false)
  }

  private static func free() throws -> String {
    let router = try Router(waker: Waker())
    defer { router.close() }
    return try router.bind("tcp://127.0.0.1:0")
  }

  /// What is sent before closing arrives if it is to be flushed.
  @Test func flushing() throws {
    let pair = try Pair("tcp://127.0.0.1:0")
    defer { pair.router.close() }
    for _ in 0..<50 { try pair.dealer.send(.goodbye, of: .none, session: .none) }
    pair.dealer.close(flushing: true)
    var count = 0
    for _ in 0..<100 where count < 50 { count += try pair.router.poll(timeout: 0.1).count }
    #expect(count == 50)
  }

  /// `poll` gives back at most so many messages, and the rest the next time.
  @Test func pollIsBounded() throws {
    var options = TransportOptions()
    options.messagesPerPoll = 4
    let pair = try Pair("tcp://127.0.0.1:0", options: options)
    defer { pair.close() }
    for _ in 0..<10 { try pair.dealer.send(.ping, of: .none, session: .none) }
    var sequences: [UInt64] = []
    for _ in 0..<100 where sequences.count < 10 {
      let batch = try pair.router.poll(timeout: 0.1)
      #expect(batch.count <= 4)
      for (_, received) in batch { sequences.append(try received.get().0.sequence) }
    }
    #expect(sequences == Array(1...10))
  }

  /// A peer that takes nothing is reported, instead of filling the memory.
  @Test func congestion() throws {
    var options = TransportOptions()
    options.queuedMessages = 4
    let dealer = try Dealer(connect: try Self.free(), waker: Waker(), options: options)
    defer { dealer.close(flushing: false) }
    #expect { for _ in 0..<5 { try dealer.send(.ping, of: .none, session: .none) } } throws: {
      ($0 as? TransportError)?.kind == .congested
    }
  }

  @Test func overTheLimits() throws {
    var options = TransportOptions()
    options.limits.objectBytes = 1000
    let pair = try Pair("tcp://127.0.0.1:0", options: options)
    defer { pair.close() }
    #expect { try pair.dealer.send(Self.parameters(count: 251), of: .none, session: .none) } throws: {
      ($0 as? TransportError)?.kind == .message
    }
    try pair.dealer.send(Self.parameters(count: 250), of: .none, session: .none)
    #expect(try pair.atRouter().received.get().0.sequence == 1)
  }

  /// Another thread ends a poll; a wake before the poll counts as well, and only once.
  @Test func waker() throws {
    let waker = try Waker()
    let router = try Router(waker: waker)
    defer { router.close() }
    let clock = ContinuousClock()
    let thread = Thread {
      Thread.sleep(forTimeInterval: 0.05)
      waker.wake()
    }
    let start = clock.now
    thread.start()
    #expect(try router.poll(timeout: 60).isEmpty)
    #expect(clock.now - start < .seconds(30), "the wake ended the poll, not its time")
    for _ in 0..<100_000 { waker.wake() }
    #expect(try router.poll(timeout: 60).isEmpty)
    let again = clock.now
    #expect(try router.poll(timeout: 0.05).isEmpty)
    #expect(clock.now - again >= .milliseconds(50), "all wakes were taken at once")
  }
}
