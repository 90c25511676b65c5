import WireProtocol

/// The bytes of an object as they come. Values of four bytes, which nearly all are, come to lie as such, so that sums are
/// made where they lie.
struct ArrivingBytes: Sendable {
  private var floats: [Float] = []
  private var bytes: [UInt8] = []
  private let areFloats: Bool

  /// - Parameter byteCount: of the whole object. A length that is announced and never sent costs no more than 64 MiB.
  init(byteCount: Int) {
    let capacity = min(byteCount, 64 << 20)
    areFloats = byteCount % MemoryLayout<Float>.size == 0
    if areFloats {
      floats.reserveCapacity(capacity / MemoryLayout<Float>.size)
    } else {
      bytes.reserveCapacity(capacity)
    }
  }

  var count: Int { areFloats ? floats.count * MemoryLayout<Float>.size : bytes.count }

  mutating func append(_ piece: UnsafeRawBufferPointer) {
    let size = MemoryLayout<Float>.size
    guard areFloats else { return bytes.append(contentsOf: piece) }
    // Chunks are whole numbers of values, and so is the rest of what is.
    guard Int(bitPattern: piece.baseAddress) % size == 0 else {
      return Array(piece).withUnsafeBytes { append($0) }
    }
    piece.withMemoryRebound(to: Float.self) { floats.append(contentsOf: $0) }
  }

  /// The object, once all of it is here.
  func object(_ declaration: ObjectDeclaration, isFinite: Bool) -> WireObject {
    areFloats
      ? WireObject(checked: declaration, floats: floats, isFinite: isFinite)
      : WireObject(checked: declaration, bytes: bytes, isFinite: isFinite)
  }
}
