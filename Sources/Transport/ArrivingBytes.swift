import WireProtocol

/// The bytes of an object as they come, where they are to stay: sums are made where they lie.
struct ArrivingBytes: Sendable {
  /// A length that is announced and never sent costs no more than this.
  private static let firstBytes = 64 << 20

  /// Of the whole object.
  private let byteCount: Int
  private var memory: LargeMemory
  private(set) var count = 0

  /// - Parameter byteCount: of the whole object.
  init(byteCount: Int) {
    self.byteCount = byteCount
    memory = LargeMemory(byteCount: min(byteCount, Self.firstBytes))
  }

  /// Adds the next piece; no more comes than was announced.
  mutating func append(_ piece: UnsafeRawBufferPointer) {
    let end = count + piece.count
    if end > memory.bytes.count {
      let larger = LargeMemory(byteCount: max(end, min(byteCount, 2 * memory.bytes.count)))
      larger.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory.bytes[..<count]))
      memory = larger
    }
    UnsafeMutableRawBufferPointer(rebasing: memory.bytes[count..<end]).copyMemory(from: piece)
    count = end
  }

  /// So many bytes from the beginning.
  func prefix(_ count: Int) -> [UInt8] { Array(memory.bytes.prefix(count)) }

  /// The object, once all of it is here.
  func object(_ declaration: ObjectDeclaration, isFinite: Bool) -> WireObject {
    WireObject(checked: declaration, shared: SharedBytes(memory, byteCount: count), isFinite: isFinite)
  }
}
