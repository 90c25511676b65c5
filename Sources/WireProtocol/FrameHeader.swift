import Kernels

/// Frames F0 and F1 of a message: what it is and how long its other frames are.
struct FrameHeader: Equatable {
  static let prefixByteCount = 4
  static let byteCount = 64

  var envelope: Envelope
  var bodyLength: Int
  var objectCount: Int
  /// Bytes of the payload, the fourth frame; 0: there is none.
  var payloadLength: Int
  /// CRC-32C of the control body.
  var bodyChecksum: UInt32

  /// F0: "NL", major and minor version.
  static func prefix(minor: UInt8) -> [UInt8] {
    [UInt8(ascii: "N"), UInt8(ascii: "L"), ProtocolVersion.major, minor]
  }

  var prefix: [UInt8] { Self.prefix(minor: envelope.minor) }

  init(envelope: Envelope, bodyLength: Int, objectCount: Int, payloadLength: Int, bodyChecksum: UInt32) {
    self.envelope = envelope
    self.bodyLength = bodyLength
    self.objectCount = objectCount
    self.payloadLength = payloadLength
    self.bodyChecksum = bodyChecksum
  }

  /// F1. The lengths must have been held to the limits, which are below 2³².
  var bytes: [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(FrameHeader.byteCount)
    out.append(envelope.type.rawValue)
    out.append(0)
    out.append(littleEndian: UInt16(truncatingIfNeeded: objectCount))
    out.append(littleEndian: envelope.work.run.value)
    out.append(littleEndian: envelope.work.term)
    out.append(littleEndian: envelope.session.high)
    out.append(littleEndian: envelope.session.low)
    out.append(littleEndian: envelope.sequence)
    out.append(littleEndian: envelope.correlation)
    out.append(littleEndian: UInt32(truncatingIfNeeded: bodyLength))
    out.append(littleEndian: UInt32(truncatingIfNeeded: payloadLength))
    out.append(littleEndian: bodyChecksum)
    out.append(littleEndian: Checksum.of(prefix, out))
    return out
  }

  static func check(prefix: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard prefix.count == prefixByteCount, prefix[0] == UInt8(ascii: "N"), prefix[1] == UInt8(ascii: "L")
    else {
      throw ProtocolError(.magic, "the first frame is not \"NL\" and a version")
    }
  }

  /// F0 and F1 are the same in every version, so that they can be told apart.
  private static func check(version prefix: [UInt8], own: UInt8) throws(ProtocolError) {
    guard prefix[2] == ProtocolVersion.major, ProtocolVersion.accepts(minor: prefix[3], own: own) else {
      throw ProtocolError(
        .version,
        "the peer speaks version \(prefix[2]).\(prefix[3]), this program "
          + "\(ProtocolVersion.major).\(own); install the same release on both")
    }
  }

  /// Reads F1. The checksum also covers F0, so that a flipped bit there does not pass for another version, which would
  /// end a worker for good.
  init(prefix: [UInt8], header: UnsafeRawBufferPointer, limits: WireLimits) throws(ProtocolError) {
    guard header.count == FrameHeader.byteCount else {
      throw ProtocolError(.header, "the header has \(header.count) bytes, not \(FrameHeader.byteCount)")
    }
    let expected = Checksum.of(prefix, UnsafeRawBufferPointer(rebasing: header[..<60]))
    guard header.littleEndian(at: 60, as: UInt32.self) == expected else {
      throw ProtocolError(.header, "the header's checksum is wrong")
    }
    try Self.check(version: prefix, own: limits.minor)
    guard header[1] == 0 else {
      throw ProtocolError(.header, "the reserved byte of the header is not zero")
    }
    guard let type = MessageType(rawValue: header[0]) else {
      throw ProtocolError(.type, "type \(header[0]) is not known")
    }
    envelope = Envelope(
      type: type, minor: prefix[3],
      work: RunTerm(
        RunNumber(header.littleEndian(at: 4, as: UInt32.self)),
        term: header.littleEndian(at: 8, as: UInt64.self)),
      session: SessionID(
        high: header.littleEndian(at: 16, as: UInt64.self), low: header.littleEndian(at: 24, as: UInt64.self)),
      sequence: header.littleEndian(at: 32, as: UInt64.self),
      correlation: header.littleEndian(at: 40, as: UInt64.self))
    objectCount = Int(header.littleEndian(at: 2, as: UInt16.self))
    bodyLength = Int(header.littleEndian(at: 48, as: UInt32.self))
    payloadLength = Int(header.littleEndian(at: 52, as: UInt32.self))
    bodyChecksum = header.littleEndian(at: 56, as: UInt32.self)
    try check(limits)
  }

  private func check(_ limits: WireLimits) throws(ProtocolError) {
    guard bodyLength <= limits.bodyBytes else {
      throw ProtocolError(.limit, "a control body of \(bodyLength) bytes; the limit is \(limits.bodyBytes)")
    }
    guard objectCount <= limits.objects else {
      throw ProtocolError(.limit, "\(objectCount) objects; the limit is \(limits.objects)")
    }
    guard payloadLength <= WireLimits.payloadBytes else {
      throw ProtocolError(
        .limit, "a payload of \(payloadLength) bytes; the limit is \(WireLimits.payloadBytes)")
    }
  }
}

/// CRC-32C over two pieces, one behind the other.
enum Checksum {
  static func of(_ first: [UInt8], _ second: UnsafeRawBufferPointer) -> UInt32 {
    let begun = nl_crc32c(0, first, first.count)
    return second.isEmpty ? begun : nl_crc32c(begun, second.baseAddress, second.count)
  }

  static func of(_ first: [UInt8], _ second: [UInt8]) -> UInt32 { second.withUnsafeBytes { of(first, $0) } }

}

extension [UInt8] {
  mutating func append(littleEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}

extension UnsafeRawBufferPointer {
  /// - Precondition: the value lies within the buffer.
  func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: Value.Type) -> Value
  {
    Value(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }
}
