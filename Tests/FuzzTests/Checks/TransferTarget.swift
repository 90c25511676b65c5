import Digests
import JSON
import WireProtocol

@testable import Transport

extension FuzzTarget {
  /// A connection of the coordinator's whose peer says whatever it likes about transfers, while parameters are sent to
  /// it: never more than a window is under way in either direction, and no message comes out but with its digests.
  static let transfers = FuzzTarget(name: "transfers") { input in
    var peer = HostilePeer(InputReader(input))
    while !peer.isDone {
      if let fault = peer.act() { return fault }
    }
    return nil
  }
}

/// One side of the coordinator's connection, driven by an input.
private struct HostilePeer {
  private var reader: InputReader
  private var link: Link
  private let settings: TransferSettings
  private let envelope = Envelope(type: .ping, work: RunTerm(RunNumber(1), term: 1), sequence: 1)
  private let address = Address(work: RunTerm(RunNumber(1), term: 1), session: .none, correlation: 0)
  private var now = 0.0
  private(set) var isDone = false
  /// By transfer: what the coordinator has given credit for, and what it was then sent.
  private var granted: [Int: Int] = [:]
  private var given: [Int: Int] = [:]
  /// By transfer: what the peer has said came of what the coordinator sends.
  private var confirmed: [Int: Int] = [:]
  private var sent: [Int: Int] = [:]

  init(_ reader: InputReader) {
    self.reader = reader
    var settings = TransferSettings()
    (settings.windowBytes, settings.inlineBytes) = (1, 16)
    (settings.openTransfers, settings.waitingMessages) = (3, 8)
    self.settings = settings
    var options = TransportOptions()
    options.transfers = settings
    link = Link(outgoing: .parameters, options: options, kept: KeptObjects())
    try? link.admit(envelope)
  }

  mutating func act() -> String? {
    guard !reader.rest.isEmpty else {
      isDone = true
      return nil
    }
    now += 1
    let operation = reader.byte()
    do {
      switch operation % 6 {
      case 0: try take(.result, .offer(offer()))
      case 1: return try receive(chunk())
      case 2:
        let number = Int(reader.byte())
        let received = length()
        confirmed[number] = max(confirmed[number] ?? 0, received)
        try take(
          .parameters,
          .credit(
            TransferCredit(
              transfer: number, bytes: received + length(), received: received,
              from: operation >= 128 && received > 0 ? received : nil)))
      case 3:
        let number = Int(reader.byte())
        try take(.parameters, .acknowledgement(TransferAck(transfer: number, outcome: outcome())))
      case 4: try send()
      default: pump(Int(reader.byte()))
      }
    } catch {
      // Whatever was not agreed upon ends the connection.
      isDone = true
      return nil
    }
    _ = link.stall(now: now)
    _ = link.transfers(now: now)
    return nil
  }

  private mutating func length() -> Int {
    let byte = Int(reader.byte())
    return byte < 128 ? byte * 4 : (byte - 127) * WireLimits.chunkBytes / 2
  }

  private mutating func outcome() -> TransferAck.Outcome {
    switch reader.byte() % 3 {
    case 0: .received
    case 1: .corrupt
    default: .refused(ResultAck(attempt: 1, outcome: .stale))
    }
  }

  private mutating func offer() -> TransferOffer {
    let number = Int(reader.byte())
    let objects = (0..<Int(reader.byte() % 4)).map { tier in
      let bytes = [UInt8](repeating: 7, count: min(length(), 600_000))
      return ObjectDeclaration(WireObject(name: "tier.\(tier)", bytes: bytes))
    }
    let fields: JSONValue = ["attempt": 1, "loss_sum": "0000000000000000", "tokens": 1, "seconds": 0]
    return TransferOffer(transfer: number, of: .result, fields: fields, objects: objects)
  }

  private mutating func chunk() -> TransferChunk {
    let (number, object, offset) = (Int(reader.byte()), Int(reader.byte() % 4), length())
    let byte: UInt8 = reader.byte() & 1 == 0 ? 7 : 8
    let bytes = [UInt8](repeating: byte, count: min(length(), 2 * WireLimits.chunkBytes))
    return TransferChunk(transfer: number, object: object, offset: offset, payload: WireSlice(bytes))
  }

  private mutating func receive(_ chunk: TransferChunk) throws -> String? {
    try take(.result, .chunk(chunk))
    // It was taken, or came too late; only what was granted may have been.
    if let allowed = granted[chunk.transfer] {
      given[chunk.transfer, default: 0] += chunk.payload.byteCount
      if let all = given[chunk.transfer], all > allowed {
        return "\(all) bytes of transfer \(chunk.transfer) were taken, \(allowed) were granted"
      }
    }
    return nil
  }

  private mutating func take(_ kind: TransferKind, _ content: TransferMessage.Content) throws {
    let message = TransferMessage(kind, content)
    let outcome = try link.take(message, envelope, now: now, judge: nil)
    for answer in outcome.answers {
      switch answer.content {
      case .credit(let credit): granted[credit.transfer] = credit.bytes
      // A transfer that is given up takes those behind it with it.
      case .acknowledgement(let ack): granted = granted.filter { $0.key < ack.transfer }
      default: break
      }
    }
    guard let (_, message) = outcome.completed, case .result(let result) = message else { return }
    for gradient in result.gradients {
      let digest = gradient.values.withUnsafeBytes { Digest.sha256($0) }
      precondition(digest == gradient.values.sha256, "an object with another digest came out")
    }
  }

  /// Parameters for the peer.
  private mutating func send() throws {
    let values = WireObject(name: "tier", floats: [Float](repeating: 1, count: min(length(), 2_000_000) / 4))
    let message = Message.parameters(
      ParametersMessage(tier: 0, version: 1, digest: Digest.sha256(""), values: values))
    guard let prepared = try link.waits(for: message, TransportOptions()) else { return }
    try link.sender.add(prepared, address, now: now)
  }

  /// Sends what may be sent.
  private mutating func pump(_ count: Int) {
    for _ in 0..<min(count, 64) {
      guard let next = link.sender.next() else { return }
      if case .transfer(let transfer) = next.message.message, case .chunk(let chunk) = transfer.content {
        sent[chunk.transfer, default: 0] += chunk.payload.byteCount
        let underWay = (sent[chunk.transfer] ?? 0) - (confirmed[chunk.transfer] ?? 0)
        precondition(underWay <= settings.window, "more than a window of a transfer is under way")
      }
      link.sender.sent(now: now)
    }
  }
}
