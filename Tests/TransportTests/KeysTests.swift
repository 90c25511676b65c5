import CZeroMQ
import Foundation
import Testing
import WireProtocol

@testable import Transport

/// CURVE with a list of keys: who gets in, and what the others hear. The references are ZeroMQ's RFCs 26 (CURVE),
/// 27 (ZAP) and 32 (Z85).
@Suite(.serialized) struct KeysTests {
  let serverKey: SecretKey
  let workerKey: SecretKey
  let router: Router
  let endpoint: String

  init() throws {
    serverKey = try SecretKey.generate()
    workerKey = try SecretKey.generate()
    router = try Router(
      waker: Waker(),
      security: ServerSecurity(secretKey: serverKey, allowedKeys: [workerKey.publicKey: "worker"]))
    endpoint = try router.bind("tcp://127.0.0.1:0")
  }

  private func dealer(_ key: SecretKey?, server: PublicKey? = nil) throws -> Dealer {
    let security = key.map { ClientSecurity(secretKey: $0, serverKey: server ?? serverKey.publicKey) }
    let dealer = try Dealer(connect: endpoint, waker: Waker(), security: security)
    // A handshake that is refused may be over, and the connection gone, before this could be queued.
    try? dealer.send(.ping, of: .none, session: .none)
    return dealer
  }

  /// How the handshake fails first, while nothing whatever reaches the coordinator.
  private func failure(of dealer: Dealer) throws -> HandshakeFailure? {
    defer { dealer.close(flushing: false) }
    for _ in 0..<200 {
      #expect(try dealer.poll(timeout: 0.05).isEmpty)
      #expect(try router.poll(timeout: 0).isEmpty)
      if let failure = dealer.takeHandshakeFailure() { return failure }
    }
    return nil
  }

  private func next() throws -> [(peer: PeerID, received: Received)] {
    for _ in 0..<100 {
      let all = try router.poll(timeout: 0.1)
      if !all.isEmpty { return all }
    }
    return []
  }

  @Test func aKeyOnTheListGetsIn() throws {
    defer { router.close() }
    let dealer = try dealer(workerKey)
    defer { dealer.close(flushing: false) }
    let first = try #require(try next().first)
    #expect(try first.received.get().1 == .ping)
    #expect(first.peer.hasKey)
    try router.send(.pong, to: first.peer, of: .none, session: .none)
    #expect(try dealer.poll(timeout: 10).map { try $0.get().1 } == [.pong])
    #expect(dealer.takeHandshakeFailure() == nil)
    #expect(router.takeRefusals().count == 0)
  }

  @Test func anUnknownKeyIsRefusedAndToldOf() throws {
    defer { router.close() }
    let unknown = try SecretKey.generate()
    #expect(try failure(of: dealer(unknown)) == .keyRefused)
    let (refusals, count) = router.takeRefusals()
    #expect(count == 1)
    #expect(refusals == [Refusal(address: "127.0.0.1", key: unknown.publicKey)])
    // And the next one with a right key is served.
    let honest = try dealer(workerKey)
    defer { honest.close(flushing: false) }
    #expect(try next().count == 1)
  }

  @Test func withoutKeysNobodyGetsIn() throws {
    defer { router.close() }
    // Which side closes first is a race: the one that sees the other close hears no reason.
    let failure = try #require(try failure(of: dealer(nil)))
    #expect([.keysOnOneSide, .brokenOff].contains(failure))
  }

  /// A coordinator that does not hold the expected key is not talked to.
  @Test func anotherServerIsNotTrusted() throws {
    defer { router.close() }
    #expect(try failure(of: dealer(workerKey, server: SecretKey.generate().publicKey)) == .brokenOff)
  }

  @Test func aServerWithoutKeysIsNotTrusted() throws {
    defer { router.close() }
    let open = try Router(waker: Waker())
    defer { open.close() }
    let dealer = try Dealer(
      connect: try open.bind("tcp://127.0.0.1:0"), waker: Waker(),
      security: ClientSecurity(secretKey: workerKey, serverKey: serverKey.publicKey))
    try? dealer.send(.ping, of: .none, session: .none)
    #expect(try failure(of: dealer) != nil)
    #expect(try open.poll(timeout: 0.1).isEmpty)
  }

  /// ipc stays without keys, and a peer with a key cannot take the routing id of one without.
  @Test func bothKindsOfConnectionsAreToldApart() throws {
    defer { router.close() }
    let path = FileManager.default.temporaryDirectory.appending(
      path: "nl-\(UInt64.random(in: 0...UInt64.max))")
    let local = try router.bind("ipc://\(path.path)")
    let context = zmq_ctx_new()
    var sockets: [UnsafeMutableRawPointer?] = []
    defer {
      for socket in sockets { zmq_close(socket) }
      zmq_ctx_term(context)
    }
    for address in [local, endpoint] {
      let socket = zmq_socket(context, ZMQ_DEALER)
      sockets.append(socket)
      zmq_setsockopt(socket, ZMQ_ROUTING_ID, "same", 4)
      var linger: Int32 = 0
      zmq_setsockopt(socket, ZMQ_LINGER, &linger, 4)
      if address == endpoint {
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, serverKey.publicKey.bytes, 32)
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, workerKey.publicKey.bytes, 32)
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, workerKey.bytes, 32)
      }
      zmq_connect(socket, address)
      let frames = try EncodedMessage(.ping, envelope: Envelope(type: .ping, sequence: 1)).frames
      for (number, frame) in frames.enumerated() {
        zmq_send(socket, frame, frame.count, number < frames.count - 1 ? ZMQ_SNDMORE : 0)
      }
    }
    var peers: [PeerID] = []
    for _ in 0..<100 where peers.count < 2 { peers += try next().map(\.peer) }
    #expect(Set(peers).count == 2)
    #expect(Set(peers.map(\.hasKey)) == [true, false])
    for (peer, message) in zip(peers, [Message.pong, .drain]) {
      try router.send(message, to: peer, of: .none, session: .none)
    }
    // Frames: prefix, header, whose first byte is the type, and body.
    for (socket, hasKey) in zip(sockets, [false, true]) {
      var timeout: Int32 = 10_000
      zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, 4)
      var frame = [UInt8](repeating: 0, count: 64)
      #expect(zmq_recv(socket, &frame, 64, 0) == 4)
      #expect(zmq_recv(socket, &frame, 64, 0) == 64)
      let expected: MessageType = peers.firstIndex { $0.hasKey == hasKey } == 0 ? .pong : .drain
      #expect(frame[0] == expected.rawValue)
    }
  }

  // MARK: Failing closed

  /// A decider that has died leaves its socket open and silent: no handshake comes to its end, even with a right key.
  @Test func aDeadDeciderLetsNobodyIn() throws {
    defer { router.close() }
    try expectNobodyIn { $0.end() }
  }

  /// With the decider's socket gone too, ZeroMQ itself would let anyone in. Nothing is read of such a connection.
  @Test func withoutADeciderNobodyIsHeard() throws {
    defer { router.close() }
    try expectNobodyIn { $0.close() }
  }

  private func expectNobodyIn(_ fail: (Authenticator) -> Void) throws {
    let context = try Context()
    let authenticator = try Authenticator(
      context: context, allowedKeys: [workerKey.publicKey: ""], waker: Waker())
    let socket = try Socket(
      type: ZMQ_ROUTER, context: context, security: .server(serverKey), options: TransportOptions())
    defer {
      socket.close()
      authenticator.close()
    }
    let endpoint = try socket.bind("tcp://127.0.0.1:0")
    fail(authenticator)
    let dealer = try Dealer(
      connect: endpoint, waker: Waker(),
      security: ClientSecurity(secretKey: workerKey, serverKey: serverKey.publicKey))
    defer { dealer.close(flushing: false) }
    try? dealer.send(.ping, of: .none, session: .none)
    for _ in 0..<30 {
      #expect(try dealer.poll(timeout: 0.1).isEmpty)
      // The routing id, then the message, of which nothing may be left.
      while try socket.receiveFrame({ _, _, _ in }) != nil {
        let received = try socket.receiveMessage(needsKey: true)
        #expect(throws: ProtocolError.self) { try received?.get() }
      }
    }
  }

  /// A key that is added gets in; of one that is taken out nothing more is heard, and it does not get in again.
  @Test func theListChanges() throws {
    defer { router.close() }
    let later = try SecretKey.generate()
    let old = try dealer(workerKey)
    defer { old.close(flushing: false) }
    #expect(try next().first?.received.get().1 == .ping)
    #expect(try failure(of: dealer(later)) == .keyRefused)
    router.allow([later.publicKey: "later"])
    let new = try dealer(later)
    defer { new.close(flushing: false) }
    #expect(try next().first?.received.get().1 == .ping)
    try old.send(.ping, of: .none, session: .none)
    let refused = try #require(try next().first?.received)
    #expect(throws: ProtocolError.self) { try refused.get() }
    #expect(try failure(of: dealer(workerKey)) == .keyRefused)
  }

  // MARK: Decisions

  private func request(_ change: (inout [[UInt8]]) -> Void = { _ in }) -> [[UInt8]] {
    var frames = ["1.0", "7", "nested-learning", "10.0.0.9", "id", "CURVE"].map { Array($0.utf8) }
    frames.append(workerKey.publicKey.bytes)
    change(&frames)
    return frames
  }

  /// The status that a request is answered with.
  private func status(_ frames: [[UInt8]]) -> String {
    let verdict = AuthenticationRequest.judge(frames, allowedKeys: [workerKey.publicKey: ""])
    let answer = AuthenticationRequest.answer(verdict, to: frames)
    #expect(answer.count == 6 && answer[0] == Array("1.0".utf8))
    return String(decoding: answer[2], as: UTF8.self)
  }

  @Test func onlyAPerfectRequestIsAnsweredWithYes() {
    defer { router.close() }
    #expect(status(request()) == "200")
    let refused: [(inout [[UInt8]]) -> Void] = [
      { $0[2] = Array("another".utf8) }, { $0[2] = [] }, { $0[5] = Array("NULL".utf8) },
      { $0[5] = Array("PLAIN".utf8) }, { $0[6][0] ^= 1 }, { $0[6].removeLast() }, { $0[6].append(0) },
      { $0[6] = [] },
    ]
    for change in refused { #expect(status(request(change)) == "400") }
    let malformed: [(inout [[UInt8]]) -> Void] = [
      { $0[0] = Array("1.1".utf8) }, { $0[0] = [] }, { $0.removeLast() }, { $0.append([]) }, { $0 = [] },
      { $0[1] = Array(repeating: 1, count: 256) }, { $0[4] = Array(repeating: 1, count: 256) },
    ]
    for change in malformed { #expect(status(request(change)) == "500") }
  }

  // MARK: Keys

  /// The example of RFC 32, lengthened to a key, and texts that are none.
  @Test func keysAreReadStrictly() throws {
    defer { router.close() }
    let text = "HelloWorld" + "HelloWorld" + "HelloWorld" + "HelloWorld"
    let word: [UInt8] = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]
    #expect(PublicKey(text)?.bytes == word + word + word + word)
    #expect(PublicKey(text)?.description == text)
    for bad in [
      "", String(text.dropLast()), text + "H", String(text.dropLast()) + "~", String(text.dropLast()) + "é",
    ] {
      #expect(PublicKey(bad) == nil)
    }
    // 85^5 − 1 is above 2^32.
    #expect(PublicKey("#####" + text.dropFirst(5)) == nil)
  }

  @Test func secretsAreNotInDescriptions() throws {
    defer { router.close() }
    let secret = workerKey.exposedText
    #expect(SecretKey(secret)?.publicKey == workerKey.publicKey)
    var dumped = ""
    dump(workerKey, to: &dumped)
    for text in ["\(workerKey)", String(reflecting: workerKey), dumped] { #expect(!text.contains(secret)) }
  }
}
