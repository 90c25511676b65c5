import JSON

/// The two directions of transfers: each has message types of its own.
public enum TransferKind: Sendable, Hashable, CaseIterable {
  /// Coordinator to worker: PARAMETERS, WINDOW, ASSIGN.
  case parameters
  /// Worker to coordinator: RESULT.
  case result

  /// The messages that may come as a transfer of this kind.
  public func carries(_ type: MessageType) -> Bool {
    switch self {
    case .parameters: type == .parameters || type == .window || type == .assign
    case .result: type == .result
    }
  }
}

/// What sender and receiver of a transfer say to each other. A transfer stands for one message whose objects are too
/// large to be sent at once.
public struct TransferMessage: Sendable, Equatable {
  public enum Content: Sendable, Equatable {
    /// Sender: this is what I have for you.
    case offer(TransferOffer)
    /// Receiver: you may send so much.
    case credit(TransferCredit)
    /// Sender: a piece of it.
    case chunk(TransferChunk)
    /// Receiver: what became of it.
    case acknowledgement(TransferAck)
  }

  public var kind: TransferKind
  public var content: Content

  public init(_ kind: TransferKind, _ content: Content) {
    self.kind = kind
    self.content = content
  }

  public var type: MessageType {
    switch (kind, content) {
    case (.parameters, .offer): .parametersOffer
    case (.parameters, .credit): .parametersCredit
    case (.parameters, .chunk): .parametersChunk
    case (.parameters, .acknowledgement): .parametersAck
    case (.result, .offer): .resultOffer
    case (.result, .credit): .resultCredit
    case (.result, .chunk): .resultChunk
    case (.result, .acknowledgement): .resultAck
    }
  }

  var body: any MessageBody {
    switch content {
    case .offer(let body): body
    case .credit(let body): body
    case .chunk(let body): body
    case .acknowledgement(let body): body
    }
  }
}

/// PARAMS_OFFER, RESULT_OFFER: a message without the bytes of its objects.
public struct TransferOffer: Sendable, Equatable {
  /// 1, 2, … for each connection and direction.
  public var transfer: Int
  /// The message that it stands for.
  public var of: MessageType
  /// That message's fields, a JSON object.
  public var fields: JSONValue
  public var objects: [ObjectDeclaration]

  public init(transfer: Int, of type: MessageType, fields: JSONValue, objects: [ObjectDeclaration]) {
    self.transfer = transfer
    self.of = type
    self.fields = fields
    self.objects = objects
  }

  /// The bytes of all objects.
  public var byteCount: Int { objects.reduce(0) { $0 + $1.byteCount } }

  /// The message, once its objects are there.
  public func message(objects: [WireObject]) throws(ProtocolError) -> Message {
    try Message(type: of, fields: fields.object ?? JSONObject(), objects: objects)
  }

  /// The result that is offered, its gradients without bytes: for judging it before they are sent. Nil if it is no
  /// result.
  public func announcedResult() throws(ProtocolError) -> ResultMessage? {
    guard of == .result else { return nil }
    guard case .result(let result) = try message(objects: objects.map { WireObject(announced: $0) }) else {
      return nil
    }
    return result
  }
}

extension TransferOffer: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("transfer", transfer)
    writer.add("of", Int(of.rawValue))
    writer.add("fields", fields)
    writer.add("objects", .array(objects.map(\.json)))
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    let number = try reader.integer("of", in: 0...255)
    let kind: TransferKind = reader.type == .resultOffer ? .result : .parameters
    guard let type = MessageType(rawValue: UInt8(truncatingIfNeeded: number)), kind.carries(type) else {
      throw reader.error("of", "must be the type of a message that is transferred in this direction")
    }
    let fields = try reader.value("fields")
    guard fields.object != nil else { throw reader.error("fields", "must be a JSON object") }
    guard let items = try reader.value("objects").array else {
      throw reader.error("objects", "must be a list")
    }
    self.init(
      transfer: try reader.integer("transfer", in: 1...Int.max), of: type, fields: fields,
      objects: try ObjectDeclaration.list(
        items, limits: reader.limits, bytes: reader.limits.messageBytes))
  }
}

/// PARAMS_CREDIT, RESULT_CREDIT: how much of a transfer may be sent.
public struct TransferCredit: Sendable, Equatable {
  public var transfer: Int
  /// Bytes that may be sent in all, from the beginning of the transfer.
  public var bytes: Int
  /// Bytes that have come so far.
  public var received: Int

  public init(transfer: Int, bytes: Int, received: Int) {
    self.transfer = transfer
    self.bytes = bytes
    self.received = received
  }
}

extension TransferCredit: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("transfer", transfer)
    writer.add("bytes", bytes)
    writer.add("received", received)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      transfer: try reader.integer("transfer", in: 1...Int.max),
      bytes: try reader.integer("bytes", in: 0...reader.limits.messageBytes),
      received: try reader.integer("received", in: 0...reader.limits.messageBytes))
    guard received <= bytes else { throw reader.error("received", "must not be more than bytes") }
  }
}

/// PARAMS_CHUNK, RESULT_CHUNK: at most 262,144 bytes of one object.
public struct TransferChunk: Sendable, Equatable {
  public var transfer: Int
  /// Number of the object in the offer, from 0.
  public var object: Int
  /// Place of the first byte in the object.
  public var offset: Int
  public var payload: WireSlice
  /// CRC-32C of the payload, as the sender computed it.
  public var checksum: UInt32

  public init(transfer: Int, object: Int, offset: Int, payload: WireSlice) {
    self.init(
      transfer: transfer, object: object, offset: offset, payload: payload,
      checksum: payload.withUnsafeBytes { Checksum.of([], $0) })
  }

  init(transfer: Int, object: Int, offset: Int, payload: WireSlice, checksum: UInt32) {
    self.transfer = transfer
    self.object = object
    self.offset = offset
    self.payload = payload
    self.checksum = checksum
  }

  /// Whether the payload is what its sender read.
  public var isIntact: Bool { payload.withUnsafeBytes { Checksum.of([], $0) } == checksum }
}

extension TransferChunk: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("transfer", transfer)
    writer.add("object", object)
    writer.add("offset", offset)
    writer.add(checksumOfPayload: checksum)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    let (payload, checksum) = try reader.payload()
    self.init(
      transfer: try reader.integer("transfer", in: 1...Int.max),
      object: try reader.integer("object", in: 0...(reader.limits.objects - 1)),
      offset: try reader.integer("offset", in: 0...reader.limits.objectBytes), payload: payload,
      checksum: checksum)
  }
}

/// PARAMS_ACK, RESULT_ACK with a transfer: what became of one.
public struct TransferAck: Sendable, Equatable {
  public enum Outcome: Sendable, Equatable {
    /// All of it is there and has its digests.
    case received
    /// A checksum or a digest was wrong: offer it again, and all that was offered after it.
    case corrupt
    /// The coordinator does not want the result, for this reason; it is not to be sent.
    case refused(ResultAck)
  }

  public var transfer: Int
  public var outcome: Outcome

  public init(transfer: Int, outcome: Outcome) {
    self.transfer = transfer
    self.outcome = outcome
  }
}

extension TransferAck: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("transfer", transfer)
    switch outcome {
    case .received: writer.add("outcome", "received")
    case .corrupt: writer.add("outcome", "corrupt")
    case .refused(let ack): ack.write(to: &writer)
    }
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    transfer = try reader.integer("transfer", in: 1...Int.max)
    if reader.type == .resultAck, reader.optional("attempt") != nil {
      outcome = .refused(try ResultAck(from: &reader))
      return
    }
    switch try reader.string("outcome", maximum: 64) {
    case "received": outcome = .received
    case "corrupt": outcome = .corrupt
    default: throw reader.error("outcome", "of a transfer must be received or corrupt")
    }
  }
}
