import Digests
import Testing

@testable import Transport
@testable import WireProtocol

extension TransferTests {
  struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }

  static let address = Address(
    work: RunTerm(RunNumber(1), term: 1), session: SessionID(high: 1, low: 2), correlation: 0)

  static func settings(window: Int = 1 << 20, open: Int = 3) -> TransferSettings {
    var settings = TransferSettings()
    settings.windowBytes = window
    settings.openTransfers = open
    return settings
  }

  static func parameters(_ number: Int, bytes: Int) -> Message {
    let value = UInt8(truncatingIfNeeded: number)
    return .parameters(
      ParametersMessage(
        tier: 0, version: number, digest: Digest.sha256("x"),
        values: WireObject(name: "tier", bytes: (0..<bytes).map { UInt8(truncatingIfNeeded: $0) ^ value })))
  }

  /// Both ends of a connection in one direction, and what is under way between them.
  struct Wire {
    var sender: TransferSender
    var receiver: TransferReceiver
    var judge: TransferReceiver.Judge?
    var sequence: UInt64 = 0
    var toReceiver: [(Envelope, Message)] = []
    var toSender: [TransferMessage] = []
    var delivered: [Message] = []
    var answers: [Message] = []
    /// Bytes of chunks that have been sent and not yet received, and the most that ever were.
    var underWay = 0
    var mostUnderWay = 0
    /// All bytes of chunks that were sent.
    var sentBytes = 0

    init(
      _ settings: TransferSettings, _ kind: TransferKind = .parameters, kept: KeptObjects = KeptObjects()
    ) {
      sender = TransferSender(kind: kind, settings: settings)
      receiver = TransferReceiver(kind: kind, settings: settings, kept: kept)
    }

    var isIdle: Bool { sender.isIdle && toReceiver.isEmpty && toSender.isEmpty }

    /// Sends one message, through the codec and, if it is a chunk, past `damage`; false if there is none to send.
    mutating func send(damage: (inout TransferChunk) -> Void = { _ in }) throws -> Bool {
      guard let next = sender.next() else { return false }
      sequence += 1
      let envelope = Envelope(
        type: next.message.message.type, work: RunTerm(RunNumber(1), term: 1),
        session: TransferTests.address.session, sequence: sequence)
      var (came, message) = try MessageDecoder.decode(
        frames: EncodedMessage(next.message, envelope: envelope).frames)
      sender.sent(now: 0)
      if case .transfer(var transfer) = message, case .chunk(var chunk) = transfer.content {
        underWay += chunk.payload.byteCount
        mostUnderWay = max(mostUnderWay, underWay)
        sentBytes += chunk.payload.byteCount
        damage(&chunk)
        transfer.content = .chunk(chunk)
        message = .transfer(transfer)
      }
      toReceiver.append((came, message))
      return true
    }

    mutating func receive() throws -> Bool {
      guard !toReceiver.isEmpty else { return false }
      let (envelope, message) = toReceiver.removeFirst()
      guard case .transfer(let transfer) = message else {
        delivered.append(message)
        return true
      }
      let outcome: TransferReceiver.Outcome
      switch transfer.content {
      case .offer(let offer): outcome = try receiver.receive(offer, envelope, now: 0, judge: judge)
      case .chunk(let chunk):
        underWay -= chunk.payload.byteCount
        outcome = try receiver.receive(chunk, now: 0)
      default: return true
      }
      toSender += outcome.answers
      if let (envelope, message) = outcome.completed {
        #expect(envelope.type == message.type && envelope.session == TransferTests.address.session)
        // Messages are compared by the digests that they say; these are their bytes'.
        if case .parameters(let parameters) = message {
          #expect(parameters.values.withUnsafeBytes { Digest.sha256($0) } == parameters.values.sha256)
        }
        delivered.append(message)
      }
      return true
    }

    mutating func answer() throws -> Bool {
      guard !toSender.isEmpty else { return false }
      switch toSender.removeFirst().content {
      case .credit(let credit): try sender.receive(credit, now: 0)
      case .acknowledgement(let ack): try sender.receive(ack, now: 0).map { answers.append($0) }
      default: break
      }
      return true
    }

    /// Until nothing moves any more.
    mutating func run(damage: (inout TransferChunk) -> Void = { _ in }) throws {
      while try send(damage: damage) || receive() || answer() {}
    }
  }
}
