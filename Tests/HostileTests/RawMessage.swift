import JSON

@testable import WireProtocol

/// A message taken apart into what travels, each piece of which can be changed. Its frames are as those of any message:
/// lengths, checksums and digests are right, whatever the fields say.
struct RawMessage: Sendable {
  var envelope: Envelope
  /// Without the list of objects.
  var fields: JSONValue
  var objects: [WireObject]
  /// In place of objects.
  var piece: [UInt8]?

  init(_ envelope: Envelope, _ message: Message) {
    self.envelope = envelope
    let parts = message.parts()
    fields = .object(JSONObject(parts.fields))
    objects = parts.objects
    piece = message.piece.map { $0.withUnsafeBytes { Array($0) } }
  }

  var frames: [[UInt8]] {
    var payload = piece ?? []
    for object in objects { object.withUnsafeBytes { payload.append(contentsOf: $0) } }
    var body = fields
    if !objects.isEmpty, case .object(var object) = body {
      object["objects"] = .array(objects.map { ObjectDeclaration($0).json })
      if !payload.isEmpty { object["crc32c"] = .number(Int(Checksum.of([], payload))) }
      body = .object(object)
    }
    let isEmpty = body.object?.members.isEmpty ?? false
    let text = isEmpty ? [] : body.bytes()
    let header = FrameHeader(
      envelope: envelope, bodyLength: text.count, objectCount: piece == nil ? objects.count : 0,
      payloadLength: payload.count, bodyChecksum: Checksum.of([], text))
    return [header.prefix, header.bytes, text] + (payload.isEmpty ? [] : [payload])
  }
}
