import JSON

@testable import WireProtocol

/// A message taken apart into what travels, each piece of which can be changed. Its frames are as those of any message:
/// lengths, checksums and digests are right, whatever the fields say.
struct RawMessage: Sendable {
  var envelope: Envelope
  /// Without the list of objects.
  var fields: JSONValue
  var objects: [WireObject]
  var payload: [UInt8]?

  init(_ envelope: Envelope, _ message: Message) {
    self.envelope = envelope
    let parts = message.parts()
    fields = .object(JSONObject(parts.fields))
    objects = parts.objects
    payload = message.payload.map { $0.withUnsafeBytes { Array($0) } }
  }

  var frames: [[UInt8]] {
    var body = fields
    if !objects.isEmpty, case .object(var object) = body {
      object["objects"] = .array(objects.map { ObjectDeclaration($0).json })
      body = .object(object)
    }
    let isEmpty = body.object?.members.isEmpty ?? false
    let text = isEmpty ? [] : body.bytes()
    var chunks: [[UInt8]] = []
    for (number, object) in objects.enumerated() {
      object.withUnsafeBytes { bytes in
        for (chunk, start) in stride(from: 0, to: bytes.count, by: WireLimits.chunkBytes).enumerated() {
          let rest = min(WireLimits.chunkBytes, bytes.count - start)
          let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + rest)])
          chunks.append(
            ChunkHeader(object: number, chunk: chunk, length: rest).bytes(payload: piece) + Array(piece))
        }
      }
    }
    if let payload { chunks.append(payload) }
    let header = FrameHeader(
      envelope: envelope, bodyLength: text.count, objectCount: payload == nil ? objects.count : 0,
      chunkCount: chunks.count, bodyChecksum: Checksum.of([], text))
    return [header.prefix, header.bytes, text] + chunks
  }
}
