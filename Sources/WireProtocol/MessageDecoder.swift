import Digests
import JSON

/// Puts a message together from its frames, one at a time, so that a transport can hand over each frame where it
/// lies. After an error the decoder is of no further use; the rest of the message is to be dropped.
public struct MessageDecoder: Sendable {
  private enum Expected { case prefix, header, body, chunk }

  private let limits: WireLimits
  private var expected = Expected.prefix
  private var prefix: [UInt8] = []
  private var header: FrameHeader?
  private var body = JSONObject()
  private var declarations: [ObjectDeclaration] = []
  private var objects: [WireObject] = []
  /// The object that is coming in: its bytes so far, and their digest.
  private var bytes: [UInt8] = []
  private var digest = DigestBuilder()
  private var nextChunk = 0
  /// The bytes behind the body of a message that has a payload instead of objects.
  private var payload: WireSlice?

  public init(limits: WireLimits = WireLimits()) { self.limits = limits }

  /// The envelope, once the header has been read: for telling a peer what is wrong with the rest.
  public var envelope: Envelope? { header?.envelope }

  /// Reads all frames of a message.
  public static func decode(
    frames: [[UInt8]], limits: WireLimits = WireLimits()
  ) throws(ProtocolError) -> (Envelope, Message) {
    var decoder = MessageDecoder(limits: limits)
    for frame in frames {
      let result = frame.withUnsafeBytes { bytes in
        Result { () throws(ProtocolError) in try decoder.add(frame: bytes) }
      }
      try result.get()
    }
    return try decoder.finish()
  }

  /// Takes the next frame. The bytes are copied as far as they are needed.
  public mutating func add(frame: UnsafeRawBufferPointer) throws(ProtocolError) {
    switch expected {
    case .prefix:
      try FrameHeader.check(prefix: frame)
      prefix = Array(frame)
      expected = .header
    case .header:
      header = try FrameHeader(prefix: prefix, header: frame, limits: limits)
      expected = .body
    case .body:
      try add(body: frame)
      expected = .chunk
      try takeEmptyObjects()
    case .chunk:
      if header?.envelope.type.hasPayload ?? false { return try add(payload: frame) }
      try add(chunk: frame)
      try takeEmptyObjects()
    }
  }

  /// The message, when all frames have been added.
  public mutating func finish() throws(ProtocolError) -> (Envelope, Message) {
    guard let header, expected == .chunk else {
      throw ProtocolError(.frames, "the message ends before its body")
    }
    guard payload != nil || !header.envelope.type.hasPayload else {
      throw ProtocolError(.frames, "the message ends before its payload")
    }
    guard objects.count == declarations.count else {
      throw ProtocolError(.frames, "the message ends within object \"\(declarations[objects.count].name)\"")
    }
    let type = header.envelope.type
    let message = try Message(type: type, fields: body, objects: objects, chunk: payload, limits: limits)
    return (header.envelope, message)
  }

  private mutating func add(body frame: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard let header else { throw ProtocolError(.frames, "a body without a header") }
    guard frame.count == header.bodyLength else {
      throw ProtocolError(.frames, "the body has \(frame.count) bytes, the header says \(header.bodyLength)")
    }
    guard Checksum.of([], frame) == header.bodyChecksum else {
      throw ProtocolError(.body, "the checksum of the body is wrong")
    }
    if !frame.isEmpty {
      do {
        guard let object = try JSONValue(parsing: frame, maximumDepth: WireLimits.bodyDepth).object else {
          throw ProtocolError(.body, "the body is not a JSON object")
        }
        body = object
      } catch let error as ProtocolError {
        throw error
      } catch {
        throw ProtocolError(.body, "\(error)")
      }
    }
    try declare(header)
  }

  private mutating func declare(_ header: FrameHeader) throws(ProtocolError) {
    let type = header.envelope.type
    guard type.hasPayload || type.isOffer else {
      declarations = try ObjectDeclaration.list(in: body, header: header, limits: limits)
      return
    }
    guard header.objectCount == 0, header.chunkCount == (type.hasPayload ? 1 : 0) else {
      throw ProtocolError(.header, "\(type.name) cannot have the objects or chunks that the header counts")
    }
  }

  /// Its checksum is looked at by whoever knows what the payload belongs to, and can ask for it again.
  private mutating func add(payload frame: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard payload == nil else { throw ProtocolError(.frames, "more frames than one of payload") }
    guard (1...WireLimits.chunkBytes).contains(frame.count) else {
      throw ProtocolError(
        .chunk, "a payload of \(frame.count) bytes; there must be 1 to \(WireLimits.chunkBytes)")
    }
    payload = WireSlice(Array(frame))
  }

  private mutating func add(chunk frame: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard objects.count < declarations.count else { throw ProtocolError(.frames, "more frames than chunks") }
    let declaration = declarations[objects.count]
    let (chunk, payload) = try ChunkHeader.read(frame)
    guard chunk.object == objects.count, chunk.chunk == nextChunk else {
      throw ProtocolError(
        .chunk,
        "chunk \(chunk.chunk) of object \(chunk.object) came; chunk \(nextChunk) of \(objects.count) was expected"
      )
    }
    let length = min(WireLimits.chunkBytes, declaration.byteCount - bytes.count)
    guard payload.count == length else {
      throw ProtocolError(
        .chunk, "chunk \(chunk.chunk) of \"\(declaration.name)\" has \(payload.count) bytes, not \(length)")
    }
    // A length that is announced and never sent costs no more than this.
    if nextChunk == 0 { bytes.reserveCapacity(min(declaration.byteCount, 64 << 20)) }
    bytes.append(contentsOf: payload)
    digest.update(payload)
    nextChunk += 1
    if bytes.count == declaration.byteCount { try complete(declaration) }
  }

  /// Objects without bytes have no chunks, so nothing else completes them.
  private mutating func takeEmptyObjects() throws(ProtocolError) {
    while objects.count < declarations.count, declarations[objects.count].byteCount == 0 {
      try complete(declarations[objects.count])
    }
  }

  private mutating func complete(_ declaration: ObjectDeclaration) throws(ProtocolError) {
    guard digest.finish() == declaration.sha256 else {
      throw ProtocolError(
        .digest, "object \"\(declaration.name)\" does not have the SHA-256 announced for it")
    }
    objects.append(WireObject(checked: declaration, bytes: bytes))
    bytes = []
    digest = DigestBuilder()
    nextChunk = 0
  }
}
