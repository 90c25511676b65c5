import JSON

/// A message in frames, ready to be sent. The objects' bytes are not copied until a chunk is asked for.
public struct EncodedMessage: Sendable {
  /// F0, F1 and F2: version, fixed header, control body.
  public let head: [[UInt8]]
  private let objects: [WireObject]
  /// The last frame of a message that has a payload instead of objects; it can be sent from where it lies.
  public let payload: WireSlice?

  /// - Throws: `ProtocolError` of kind `limit` if the message is larger than a receiver accepts.
  public init(
    _ message: Message, envelope: Envelope, limits: WireLimits = WireLimits()
  ) throws(ProtocolError) {
    try self.init(PreparedMessage(message), envelope: envelope, limits: limits)
  }

  /// - Throws: the same for a message that was taken apart before.
  public init(
    _ prepared: PreparedMessage, envelope: Envelope, limits: WireLimits = WireLimits()
  ) throws(ProtocolError) {
    let (message, fields, objects) = (prepared.message, prepared.fields, prepared.objects)
    let chunkCount = try EncodedMessage.check(objects, of: message.type, limits)
    let inline = min(limits.messageBytes, limits.inlineBytes)
    guard prepared.objectBytes <= inline else {
      throw ProtocolError(
        .limit, "\(message.type.name): \(prepared.objectBytes) bytes in objects; the limit is \(inline)")
    }
    var body = JSONObject(fields)
    if !objects.isEmpty { body["objects"] = EncodedMessage.declaration(of: objects) }
    // A message without fields has an empty body, which is not JSON at all.
    let text = body.members.isEmpty ? [] : JSONValue.object(body).bytes()
    guard text.count <= limits.bodyBytes else {
      throw ProtocolError(
        .limit,
        "\(message.type.name): a control body of \(text.count) bytes; the limit is \(limits.bodyBytes)")
    }
    var envelope = envelope
    envelope.type = message.type
    payload = message.payload
    let header = FrameHeader(
      envelope: envelope, bodyLength: text.count, objectCount: objects.count,
      chunkCount: payload == nil ? chunkCount : 1, bodyChecksum: Checksum.of([], text))
    head = [header.prefix, header.bytes, text]
    self.objects = objects
  }

  fileprivate static func check(
    _ objects: [WireObject], of type: MessageType, _ limits: WireLimits
  ) throws(ProtocolError) -> Int {
    guard objects.count <= limits.objects else {
      throw ProtocolError(.limit, "\(type.name): \(objects.count) objects; the limit is \(limits.objects)")
    }
    var total = 0
    var chunks = 0
    for object in objects {
      let count = object.byteCount
      guard count <= limits.objectBytes, count <= limits.messageBytes - total else {
        throw ProtocolError(
          .limit,
          "\(type.name): object \"\(object.name)\" has \(count) bytes; the limits are \(limits.objectBytes) "
            + "for one and \(limits.messageBytes) for all")
      }
      total += count
      chunks += ObjectDeclaration.chunkCount(byteCount: count)
    }
    return chunks
  }

  private static func declaration(of objects: [WireObject]) -> JSONValue {
    .array(objects.map { ObjectDeclaration($0).json })
  }

  /// Calls `send` for every chunk frame in order: its header, its payload (valid during the call), and whether it is
  /// the message's last frame.
  public func forEachChunk(
    _ send: (_ header: [UInt8], _ payload: UnsafeRawBufferPointer, _ isLast: Bool) throws -> Void
  ) rethrows {
    let last = objects.lastIndex { $0.byteCount > 0 }
    for (number, object) in objects.enumerated() {
      try object.withUnsafeBytes { bytes in
        for chunk in 0..<ObjectDeclaration.chunkCount(byteCount: bytes.count) {
          let start = chunk * WireLimits.chunkBytes
          let end = min(start + WireLimits.chunkBytes, bytes.count)
          let payload = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
          let header = ChunkHeader(object: number, chunk: chunk, length: payload.count)
          try send(header.bytes(payload: payload), payload, number == last && end == bytes.count)
        }
      }
    }
  }

  /// Whether any frame follows the head.
  public var hasChunks: Bool { payload != nil || objects.contains { $0.byteCount > 0 } }

  /// All frames, each in an array of its own.
  public var frames: [[UInt8]] {
    var frames = head
    forEachChunk { header, payload, _ in frames.append(header + payload) }
    if let payload { frames.append(payload.withUnsafeBytes { Array($0) }) }
    return frames
  }
}

/// A message taken apart into fields and objects, once: the digests of its objects are computed in doing so.
public struct PreparedMessage: Sendable {
  public let message: Message
  let fields: [JSONObject.Member]
  public let objects: [WireObject]

  public init(_ message: Message) {
    self.message = message
    (fields, objects) = message.parts()
  }

  /// - Throws: `ProtocolError` of kind `limit` if there are more objects, or larger ones, than a receiver accepts.
  public func check(_ limits: WireLimits) throws(ProtocolError) {
    _ = try EncodedMessage.check(objects, of: message.type, limits)
  }

  /// The bytes of all objects.
  public var objectBytes: Int { objects.reduce(0) { $0 + $1.byteCount } }

  /// What stands for this message until its objects are sent.
  public func offer(transfer: Int) -> TransferOffer {
    TransferOffer(
      transfer: transfer, of: message.type, fields: .object(JSONObject(fields)),
      objects: objects.map { ObjectDeclaration($0) })
  }
}
