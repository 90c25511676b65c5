import Digests
import Foundation
import JSON
import Testing

@testable import Transport
@testable import WireProtocol

/// A sender and a receiver that talk through the codec, without sockets: what is delivered is what was sent, in order,
/// with no more than a window of bytes under way.
@Suite struct TransferTests {
  /// Repeated with NL_TRANSFER_SEED.
  static let seed =
    ProcessInfo.processInfo.environment["NL_TRANSFER_SEED"].flatMap(UInt64.init)
    ?? UInt64.random(in: 0...UInt64.max)

  static func flip(_ chunk: TransferChunk, place: Int) -> TransferChunk {
    var bytes = chunk.payload.withUnsafeBytes { Array($0) }
    bytes[place % bytes.count] ^= 1
    var damaged = chunk
    damaged.payload = WireSlice(bytes)
    return damaged
  }

  /// Any sizes, any window, any order of events, now and then a damaged chunk.
  @Test func everythingArrivesInOrder() throws {
    print("NL_TRANSFER_SEED=\(Self.seed)")
    var random = Random(state: Self.seed)
    for _ in 0..<40 {
      let window = Int.random(in: 2...5, using: &random) * WireLimits.chunkBytes
      var settings = Self.settings(window: window, open: Int.random(in: 1...4, using: &random))
      settings.tries = 1000
      var wire = Wire(settings)
      let sizes = [4, 262_144, 262_145, 524_288, 700_001, 1_500_000]
      var sent: [Message] = []
      for number in 0..<Int.random(in: 1...6, using: &random) {
        sent.append(Self.parameters(number, bytes: sizes[Int.random(in: 0..<6, using: &random)]))
        try wire.sender.add(PreparedMessage(sent[number]), Self.address, now: 0)
      }
      var steps = 0
      while !wire.isIdle && steps < 100_000 {
        steps += 1
        let spoil = Int.random(in: 0..<40, using: &random) == 0
        switch Int.random(in: 0..<3, using: &random) {
        case 0: _ = try wire.send { if spoil { $0 = Self.flip($0, place: steps) } }
        case 1: _ = try wire.receive()
        default: _ = try wire.answer()
        }
      }
      #expect(wire.isIdle && wire.delivered == sent)
      #expect(wire.mostUnderWay <= window)
      #expect(wire.receiver.isIdle)
    }
  }

  /// Offers that were on their way when an earlier transfer was given up are passed over; they are made again. Found by
  /// `everythingArrivesInOrder` with the seed 11177997226858089153: the receiver held them open for ever.
  @Test func offersOvertakenByDamage() throws {
    var wire = Wire(Self.settings(window: 2 << 20, open: 4))
    let sent = (0..<5).map { Self.parameters($0, bytes: 300_000) }
    for message in sent.prefix(2) { try wire.sender.add(PreparedMessage(message), Self.address, now: 0) }
    // Two are offered and given credit; a chunk of the first is damaged, and behind it two more are offered.
    for _ in 0..<2 { _ = try wire.send() }
    while try wire.receive() {}
    while try wire.answer() {}
    var damaged = 0
    #expect(
      try wire.send {
        $0 = Self.flip($0, place: 3)
        damaged += 1
      })
    for message in sent.dropFirst(2) { try wire.sender.add(PreparedMessage(message), Self.address, now: 0) }
    for _ in 0..<2 { #expect(try wire.send()) }
    #expect(damaged == 1 && wire.underWay == 262_144)
    while try wire.receive() {}
    #expect(wire.receiver.isIdle)
    try wire.run()
    #expect(wire.delivered == sent && wire.isIdle && wire.receiver.isIdle)
  }

  /// A damaged chunk is not taken, and asked for at once: not when the whole object has come.
  @Test func damageIsNoticedAtOnce() throws {
    var wire = Wire(Self.settings())
    try wire.sender.add(PreparedMessage(Self.parameters(1, bytes: 700_000)), Self.address, now: 0)
    #expect(try wire.send())
    #expect(try wire.receive() && wire.answer())
    #expect(try wire.send { $0 = Self.flip($0, place: 7) })
    #expect(try wire.receive())
    let outcomes = wire.toSender.compactMap { answer -> TransferAck.Outcome? in
      if case .acknowledgement(let ack) = answer.content { ack.outcome } else { nil }
    }
    #expect(outcomes == [.corrupt] && wire.receiver.isIdle)
  }

  /// A chunk that is damaged again and again: so many offers, then the connection is to blame.
  @Test func damageIsNotRepairedForEver() throws {
    var wire = Wire(Self.settings())
    try wire.sender.add(PreparedMessage(Self.parameters(1, bytes: 700_000)), Self.address, now: 0)
    var offers = 0
    #expect {
      try wire.run {
        if $0.offset > 0 { $0 = Self.flip($0, place: 7) } else { offers += 1 }
      }
    } throws: { ($0 as? ProtocolError)?.kind == .digest && "\($0)".contains("damaged 3 times") }
    #expect(offers == 3 && wire.delivered.isEmpty)
  }

  /// Damage that the checksum cannot see, because the sender read it so: the digest of the object sees it.
  @Test func theDigestHasTheLastWord() throws {
    var wire = Wire(Self.settings())
    let message = Self.parameters(1, bytes: 700_000)
    try wire.sender.add(PreparedMessage(message), Self.address, now: 0)
    var spoiled = false
    try wire.run { chunk in
      guard !spoiled else { return }
      spoiled = true
      chunk = TransferChunk(
        transfer: chunk.transfer, object: chunk.object, offset: chunk.offset,
        payload: Self.flip(chunk, place: 3).payload)
    }
    #expect(spoiled && wire.delivered == [message])
  }

  /// A result that nobody wants is refused at its offer: none of its bytes are sent, and the worker hears why.
  @Test func refusedAtTheOffer() throws {
    var wire = Wire(Self.settings(), .result)
    wire.judge = { _, result in
      #expect(result.gradients.map(\.values.byteCount) == [1_000_000, 0, 1_000_000])
      return result.attempt == 3 ? .refuse(.duplicate) : .take
    }
    let unwanted = TransportTests.result(bytes: 2_000_000)
    var wanted = unwanted
    wanted.attempt = 4
    for result in [unwanted, wanted] {
      try wire.sender.add(PreparedMessage(.result(result)), Self.address, now: 0)
    }
    try wire.run()
    #expect(wire.answers == [.resultAck(ResultAck(attempt: 3, outcome: .duplicate))])
    #expect(wire.delivered == [.result(wanted)] && wire.sender.isIdle && wire.receiver.isIdle)
  }

  /// A result that is held is sent once it is let come, however long that takes; one that was offered later may come
  /// before it, and a small one does not wait for it. Its sender hears that it waits.
  @Test func heldUntilItsTurn() throws {
    var wire = Wire(Self.settings(), .result)
    wire.judge = { _, result in result.attempt == 3 ? .hold : .take }
    let held = TransportTests.result(bytes: 2_000_000)
    var other = held
    other.attempt = 4
    for result in [held, other] {
      try wire.sender.add(PreparedMessage(.result(result)), Self.address, now: 0)
    }
    try wire.run()
    #expect(wire.delivered == [.result(other)] && wire.receiver.isIdle && !wire.receiver.isEmpty)
    var time = 0.0
    while time < 100 {
      time += 1
      for (word, _) in wire.receiver.words(now: time) {
        guard case .credit(let credit) = word.content else { return #expect(Bool(false), "no credit") }
        #expect(credit == TransferCredit(transfer: 1, bytes: 0, received: 0))
        try wire.sender.receive(credit, now: time)
      }
      #expect(wire.sender.stall(now: time) == nil && wire.receiver.stall(now: time) == nil)
    }
    let none = wire.receiver.release(attempt: 5, of: Self.address.work, now: time)
    #expect(none == nil)
    // Every run counts its own attempts.
    let another = wire.receiver.release(attempt: 3, of: RunTerm(RunNumber(2), term: 1), now: time)
    #expect(another == nil)
    let answer = wire.receiver.release(attempt: 3, of: Self.address.work, now: time)
    let released = try #require(answer)
    #expect(released.offered.type == .resultOffer)
    wire.toSender += released.answers
    // From now on it has to move.
    #expect(wire.receiver.stall(now: time + 30) == nil && wire.receiver.stall(now: time + 31) != nil)
    try wire.run()
    #expect(wire.delivered == [.result(other), .result(held)] && wire.sender.isIdle && wire.receiver.isEmpty)
  }

  /// A result that has been let come, or is held, can still be refused; what is on its way of it is ignored.
  @Test(arguments: [false, true]) func refusedWhileItComes(isHeld: Bool) throws {
    var wire = Wire(Self.settings(), .result)
    wire.judge = { _, result in result.attempt == 3 && isHeld ? .hold : .take }
    let unwanted = TransportTests.result(bytes: 2_000_000)
    var wanted = unwanted
    wanted.attempt = 4
    for result in [unwanted, wanted] {
      try wire.sender.add(PreparedMessage(.result(result)), Self.address, now: 0)
    }
    for _ in 0..<2 {
      #expect(try wire.send())
      #expect(try wire.receive())
    }
    while try wire.answer() {}
    #expect(try wire.send())
    let answer = wire.receiver.refuse(attempt: 3, of: Self.address.work, .duplicate, now: 0)
    let refused = try #require(answer)
    wire.toSender += refused.answers
    try wire.run()
    #expect(wire.answers == [.resultAck(ResultAck(attempt: 3, outcome: .duplicate))])
    #expect(wire.delivered == [.result(wanted)] && wire.sender.isIdle && wire.receiver.isEmpty)
  }

  /// A peer that allows everything at once is still sent no more than a window ahead of what it has.
  @Test func generousCredit() throws {
    var wire = Wire(Self.settings(window: 524_288))
    try wire.sender.add(PreparedMessage(Self.parameters(1, bytes: 3_000_000)), Self.address, now: 0)
    #expect(try wire.send())
    try wire.sender.receive(TransferCredit(transfer: 1, bytes: 3_000_000, received: 0), now: 0)
    while try wire.send() {}
    #expect(wire.underWay == 524_288)
    #expect {
      try wire.sender.receive(TransferCredit(transfer: 1, bytes: 3_000_000, received: 600_000), now: 0)
    } throws: { ($0 as? ProtocolError)?.kind == .transfer }
  }

  /// What a peer must not do, each refused by name.
  @Test func misbehaviour() throws {
    var wire = Wire(Self.settings(window: 524_288, open: 2))
    let envelope = Envelope(type: .parametersOffer)
    func offer(_ number: Int) -> TransferOffer {
      PreparedMessage(Self.parameters(number, bytes: 700_000)).offer(transfer: number)
    }
    func chunk(_ transfer: Int, object: Int = 0, offset: Int = 0, bytes: Int = 262_144) -> TransferChunk {
      TransferChunk(
        transfer: transfer, object: object, offset: offset,
        payload: WireSlice([UInt8](repeating: 0, count: bytes)))
    }
    func kind(_ body: () throws -> Void) -> ProtocolError.Kind? {
      do { try body() } catch { return (error as? ProtocolError)?.kind }
      return nil
    }
    #expect(kind { _ = try wire.receiver.receive(chunk(1), now: 0) } == .transfer)
    #expect(kind { _ = try wire.receiver.receive(offer(1), envelope, now: 0, judge: nil) } == nil)
    #expect(kind { _ = try wire.receiver.receive(offer(1), envelope, now: 0, judge: nil) } == .transfer)
    #expect(kind { _ = try wire.receiver.receive(offer(5), envelope, now: 0, judge: nil) } == nil)
    #expect(kind { _ = try wire.receiver.receive(offer(6), envelope, now: 0, judge: nil) } == .limit)
    #expect(kind { _ = try wire.receiver.receive(chunk(5), now: 0) } == .transfer, "no credit yet")
    #expect(kind { _ = try wire.receiver.receive(chunk(1, object: 1), now: 0) } == .chunk)
    #expect(kind { _ = try wire.receiver.receive(chunk(1, offset: 4), now: 0) } == .chunk)
    #expect(kind { _ = try wire.receiver.receive(chunk(1, bytes: 262_143), now: 0) } == .chunk)
    #expect(kind { _ = try wire.receiver.receive(chunk(1), now: 0) } == nil)
    #expect(
      kind { try wire.sender.receive(TransferCredit(transfer: 1, bytes: 1, received: 0), now: 0) }
        == .transfer)
    #expect(
      kind { _ = try wire.sender.receive(TransferAck(transfer: 1, outcome: .received), now: 0) } == .transfer)
    try wire.sender.add(PreparedMessage(Self.parameters(1, bytes: 700_000)), Self.address, now: 0)
    #expect(try wire.send())
    #expect(
      kind { _ = try wire.sender.receive(TransferAck(transfer: 1, outcome: .received), now: 0) } == .transfer)
  }

  /// A wait ends, and says what for; time in which this program stood still is not counted.
  @Test func stalls() throws {
    var wire = Wire(Self.settings())
    #expect(wire.sender.stall(now: 1000) == nil)
    try wire.sender.add(PreparedMessage(Self.parameters(1, bytes: 700_000)), Self.address, now: 1000)
    try wire.sender.add(PreparedMessage(.goodbye), Self.address, now: 1000)
    #expect(try wire.send() && !wire.send())
    #expect(wire.sender.stall(now: 1030) == nil)
    let stall = wire.sender.stall(now: 1031)
    #expect(stall?.kind == .stalled)
    #expect(
      stall?.reason.contains("PARAMETERS: 0 of 700000 bytes sent, nothing for 31 s, 1 messages") == true)
    wire.sender.excuse(10)
    #expect(wire.sender.stall(now: 1040) == nil)
    #expect(try wire.receive())
    #expect(wire.receiver.stall(now: 30) == nil)
    #expect(wire.receiver.stall(now: 31)?.reason.contains("0 of 700000 bytes received") == true)
  }

  /// What takes an assignment back does not overtake it; what takes back another does.
  @Test func cancelling() throws {
    var link = Link(outgoing: .parameters, options: TransportOptions(), kept: KeptObjects())
    try link.admit(Envelope(type: .ping, sequence: 1))
    let options = TransportOptions()
    let large = try #require(try link.waits(for: Self.parameters(1, bytes: 700_000), options))
    try link.sender.add(large, Self.address, now: 0)
    let assign = AssignMessage(
      attempt: 7, purpose: .evaluate, step: 1, leafCount: 1, level: 0, index: 0, tiers: [], window: false,
      stepTokens: 0, parameterVersions: [1],
      microBatches: [AssignedMicroBatch(number: 0, tokens: [1], offsets: [0, 1], labels: [-100])])
    let waiting = try #require(try link.waits(for: .assign(assign), options))
    try link.sender.add(waiting, Self.address, now: 0)
    #expect(try link.waits(for: .cancel(Cancel(attempt: 7)), options) != nil)
    #expect(try link.waits(for: .cancel(Cancel(attempt: 6)), options) == nil)
    #expect(try link.waits(for: .pong, options) == nil)
  }

  /// A peer that takes nothing is reported before the messages for it fill the memory.
  @Test func congestion() throws {
    var settings = Self.settings()
    settings.waitingMessages = 4
    var wire = Wire(settings)
    let message = PreparedMessage(Self.parameters(1, bytes: 300_000))
    for _ in 0..<4 { try wire.sender.add(message, Self.address, now: 0) }
    #expect { try wire.sender.add(message, Self.address, now: 0) } throws: {
      ($0 as? TransportError)?.kind == .congested
    }
  }
}
