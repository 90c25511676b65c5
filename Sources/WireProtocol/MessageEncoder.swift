import JSON

/// A message in frames, ready to be sent: three, and its payload if it has one.
public struct EncodedMessage: Sendable {
  /// F0, F1 and F2: version, fixed header, control body.
  public let head: [[UInt8]]
  /// F3: a piece of something, or the message's objects, one behind the other. It can be sent from where it lies.
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
    let (message, objects) = (prepared.message, prepared.objects)
    try EncodedMessage.check(objects, of: message.type, limits)
    let inline = min(limits.messageBytes, WireLimits.payloadBytes)
    guard prepared.objectBytes <= inline else {
      throw ProtocolError(
        .limit, "\(message.type.name): \(prepared.objectBytes) bytes in objects; the limit is \(inline)")
    }
    payload = message.piece ?? EncodedMessage.joined(objects)
    var body = JSONObject(prepared.fields)
    if !objects.isEmpty { body["objects"] = .array(objects.map { ObjectDeclaration($0).json }) }
    // A piece's checksum is one of its message's own fields.
    if message.piece == nil, let payload {
      body["crc32c"] = .number(Int(payload.withUnsafeBytes { Checksum.of([], $0) }))
    }
    // For tests alone: what a later minor version brings are fields that this one does not know.
    if envelope.minor > ProtocolVersion.minor { body["of_minor"] = .number(Int(envelope.minor)) }
    // A message without fields has an empty body, which is not JSON at all.
    let text = body.members.isEmpty ? [] : JSONValue.object(body).bytes()
    guard text.count <= limits.bodyBytes else {
      throw ProtocolError(
        .limit,
        "\(message.type.name): a control body of \(text.count) bytes; the limit is \(limits.bodyBytes)")
    }
    var envelope = envelope
    envelope.type = message.type
    let header = FrameHeader(
      envelope: envelope, bodyLength: text.count, objectCount: objects.count,
      payloadLength: payload?.byteCount ?? 0, bodyChecksum: Checksum.of([], text))
    head = [header.prefix, header.bytes, text]
  }

  fileprivate static func check(
    _ objects: [WireObject], of type: MessageType, _ limits: WireLimits
  ) throws(ProtocolError) {
    guard objects.count <= limits.objects else {
      throw ProtocolError(.limit, "\(type.name): \(objects.count) objects; the limit is \(limits.objects)")
    }
    var total = 0
    for object in objects {
      let count = object.byteCount
      guard count <= limits.objectBytes, count <= limits.messageBytes - total else {
        throw ProtocolError(
          .limit,
          "\(type.name): object \"\(object.name)\" has \(count) bytes; the limits are \(limits.objectBytes) "
            + "for one and \(limits.messageBytes) for all")
      }
      total += count
    }
  }

  /// The objects' bytes, one behind the other; nil if there are none. One object's are not copied.
  private static func joined(_ objects: [WireObject]) -> WireSlice? {
    let objects = objects.filter { $0.byteCount > 0 }
    guard objects.count > 1 else { return objects.first.map { $0.slice(0..<$0.byteCount) } }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(objects.reduce(0) { $0 + $1.byteCount })
    for object in objects { object.withUnsafeBytes { bytes.append(contentsOf: $0) } }
    return WireSlice(bytes)
  }

  /// All frames, each in an array of its own.
  public var frames: [[UInt8]] {
    head + [payload].compactMap { $0.map { $0.withUnsafeBytes { Array($0) } } }
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
    try EncodedMessage.check(objects, of: message.type, limits)
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
