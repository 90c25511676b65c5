import JSON

/// A message in frames, ready to be sent. The objects' bytes are not copied until a chunk is asked for.
public struct EncodedMessage: Sendable {
  /// F0, F1 and F2: version, fixed header, control body.
  public let head: [[UInt8]]
  private let objects: [WireObject]

  /// - Throws: `ProtocolError` of kind `limit` if the message is larger than a receiver accepts, of kind `type` if the
  ///   envelope's minor version does not have it.
  public init(
    _ message: Message, envelope: Envelope, limits: WireLimits = WireLimits()
  ) throws(ProtocolError) {
    guard message.type.sinceMinor <= envelope.minor else {
      throw ProtocolError(
        .type, "\(message.type.name) is not used in version \(ProtocolVersion.major).\(envelope.minor)")
    }
    let (fields, objects) = message.parts()
    let chunkCount = try EncodedMessage.check(objects, of: message.type, limits)
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
    let header = FrameHeader(
      envelope: envelope, bodyLength: text.count, objectCount: objects.count, chunkCount: chunkCount,
      bodyChecksum: Checksum.of([], text))
    head = [header.prefix, header.bytes, text]
    self.objects = objects
  }

  private static func check(
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
    .array(
      objects.map {
        ["name": .string($0.name), "bytes": .number($0.byteCount), "sha256": .string($0.sha256)]
      })
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

  /// Whether any chunk follows the head.
  public var hasChunks: Bool { objects.contains { $0.byteCount > 0 } }

  /// All frames, each in an array of its own.
  public var frames: [[UInt8]] {
    var frames = head
    forEachChunk { header, payload, _ in frames.append(header + payload) }
    return frames
  }
}

/// What the control body says about an object before its bytes come.
struct ObjectDeclaration {
  let name: String
  let byteCount: Int
  let sha256: String

  var chunkCount: Int { Self.chunkCount(byteCount: byteCount) }

  static func chunkCount(byteCount: Int) -> Int {
    byteCount / WireLimits.chunkBytes + (byteCount % WireLimits.chunkBytes > 0 ? 1 : 0)
  }

  /// Reads the body's list of objects and holds it to the limits and to the header's counts.
  static func list(
    in body: JSONObject, header: FrameHeader, limits: WireLimits
  ) throws(ProtocolError) -> [ObjectDeclaration] {
    let items = body["objects"]?.array ?? []
    guard items.count == header.objectCount else {
      throw ProtocolError(
        .body, "\(items.count) objects are described, the header counts \(header.objectCount)")
    }
    var declarations: [ObjectDeclaration] = []
    var names = Set<String>()
    var total = 0
    var chunks = 0
    for item in items {
      let declaration = try ObjectDeclaration(item, limits: limits)
      guard names.insert(declaration.name).inserted else {
        throw ProtocolError(.body, "two objects have the name \"\(declaration.name)\"")
      }
      guard declaration.byteCount <= limits.messageBytes - total else {
        throw ProtocolError(.limit, "the objects have more than \(limits.messageBytes) bytes together")
      }
      total += declaration.byteCount
      chunks += declaration.chunkCount
      declarations.append(declaration)
    }
    guard chunks == header.chunkCount else {
      throw ProtocolError(.body, "the objects have \(chunks) chunks, the header counts \(header.chunkCount)")
    }
    return declarations
  }

  private init(_ item: JSONValue, limits: WireLimits) throws(ProtocolError) {
    guard let name = item["name"]?.string, (1...WireLimits.nameBytes).contains(name.utf8.count) else {
      throw ProtocolError(.body, "an object's name must have 1 to \(WireLimits.nameBytes) bytes")
    }
    guard let byteCount = item["bytes"]?.int, byteCount >= 0 else {
      throw ProtocolError(.body, "object \"\(name)\" has no length")
    }
    guard byteCount <= limits.objectBytes else {
      throw ProtocolError(
        .limit, "object \"\(name)\" of \(byteCount) bytes; the limit is \(limits.objectBytes)")
    }
    guard let sha256 = item["sha256"]?.string, Digest.isSHA256(sha256) else {
      throw ProtocolError(.body, "object \"\(name)\" has no SHA-256")
    }
    self.name = name
    self.byteCount = byteCount
    self.sha256 = sha256
  }
}
