import Digests
import JSON

/// Puts a message together from its frames, one at a time, so that a transport can hand over each frame where it
/// lies. After an error the decoder is of no further use; the rest of the message is to be dropped.
public struct MessageDecoder: Sendable {
  private enum Expected { case prefix, header, body, payload, end }

  private let limits: WireLimits
  private var expected = Expected.prefix
  private var prefix: [UInt8] = []
  private var header: FrameHeader?
  private var body = JSONObject()
  /// The objects that the payload is to be cut into.
  private var declarations: [ObjectDeclaration] = []
  private var objects: [WireObject] = []
  /// The payload of a message that has a piece of something instead of objects.
  private var piece: WireSlice?

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
      expected = header?.payloadLength == 0 ? .end : .payload
    case .payload:
      try add(payload: frame)
      expected = .end
    case .end: throw ProtocolError(.frames, "more frames than the header counts")
    }
  }

  /// The message, when all frames have been added.
  public mutating func finish() throws(ProtocolError) -> (Envelope, Message) {
    guard let header, expected == .end else {
      throw ProtocolError(
        .frames, "the message ends before its \(expected == .payload ? "payload" : "body")")
    }
    let type = header.envelope.type
    let message = try Message(type: type, fields: body, objects: objects, piece: piece, limits: limits)
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
    guard type.hasPiece || type.isOffer else {
      declarations = try ObjectDeclaration.list(in: body, header: header, limits: limits)
      if header.payloadLength == 0 { try cut(UnsafeRawBufferPointer(start: nil, count: 0)) }
      return
    }
    guard header.objectCount == 0, (header.payloadLength > 0) == type.hasPiece else {
      throw ProtocolError(.header, "\(type.name) cannot have the objects or the payload that the header says")
    }
  }

  private mutating func add(payload frame: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard let header, frame.count == header.payloadLength else {
      throw ProtocolError(
        .frames, "the payload has \(frame.count) bytes, the header says \(header?.payloadLength ?? 0)")
    }
    // The checksum of a piece is looked at by whoever knows what it belongs to, and can ask for it again.
    if header.envelope.type.hasPiece {
      piece = WireSlice(Array(frame))
      return
    }
    guard let checksum = body["crc32c"]?.int, checksum == Int(Checksum.of([], frame)) else {
      throw ProtocolError(.payload, "the checksum of the payload is wrong")
    }
    try cut(frame)
  }

  /// Cuts the payload into the objects that the body describes, one behind the other.
  private mutating func cut(_ payload: UnsafeRawBufferPointer) throws(ProtocolError) {
    var start = 0
    for declaration in declarations {
      let bytes = UnsafeRawBufferPointer(rebasing: payload[start..<(start + declaration.byteCount)])
      guard Digest.sha256(bytes) == declaration.sha256 else {
        throw ProtocolError(
          .digest, "object \"\(declaration.name)\" does not have the SHA-256 announced for it")
      }
      objects.append(WireObject(checked: declaration, bytes: Array(bytes)))
      start += declaration.byteCount
    }
  }
}
