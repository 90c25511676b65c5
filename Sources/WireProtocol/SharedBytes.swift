/// Bytes in memory of their own, which a socket can send from where they lie, to any number of peers at once: they
/// stay until the last holder has let go of them.
public final class SharedBytes: @unchecked Sendable {
  private let memory: LargeMemory
  /// Nobody writes to it any more.
  public let buffer: UnsafeRawBufferPointer

  /// Copies the bytes.
  public convenience init(copying bytes: UnsafeRawBufferPointer) {
    let memory = LargeMemory(byteCount: bytes.count)
    memory.bytes.copyMemory(from: bytes)
    self.init(memory, byteCount: bytes.count)
  }

  /// Memory of `capacity` bytes for `fill` to write to; its result, at most `capacity`, is the number of bytes there
  /// are.
  public convenience init(
    capacity: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Int
  ) rethrows {
    let memory = LargeMemory(byteCount: capacity)
    self.init(memory, byteCount: try fill(memory.bytes))
  }

  /// Keeps the memory as it is, to which nobody writes any more; so many bytes of it, and no more than there are.
  package init(_ memory: LargeMemory, byteCount: Int) {
    self.memory = memory
    buffer = UnsafeRawBufferPointer(rebasing: memory.bytes.prefix(max(0, byteCount)))
  }
}

/// Where the bytes of an object or of a piece of one lie.
enum WireStorage: Sendable {
  case bytes([UInt8])
  case floats([Float])
  case integers([Int32])
  case shared(SharedBytes)
  /// They are announced, and have not come: so many.
  case announced(Int)

  var byteCount: Int {
    if case .announced(let count) = self { count } else { withUnsafeBytes { $0.count } }
  }

  /// Of announced bytes there are none.
  func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    switch self {
    case .bytes(let values): try values.withUnsafeBytes(body)
    case .floats(let values): try values.withUnsafeBytes(body)
    case .integers(let values): try values.withUnsafeBytes(body)
    case .shared(let shared): try body(shared.buffer)
    case .announced: try body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }
}

/// A part of an object's bytes, left where the object has them.
public struct WireSlice: Sendable, Equatable {
  private let storage: WireStorage
  private let range: Range<Int>

  /// - Precondition: the range lies within the bytes.
  init(_ storage: WireStorage, _ range: Range<Int>) {
    self.storage = storage
    self.range = range
  }

  public init(_ bytes: [UInt8]) { self.init(.bytes(bytes), 0..<bytes.count) }

  public init(_ shared: SharedBytes) { self.init(.shared(shared), 0..<shared.buffer.count) }

  public var byteCount: Int { range.count }

  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try storage.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range])) }
  }

  /// The bytes and who holds them, if they can be sent from where they lie.
  public var shared: (bytes: UnsafeRawBufferPointer, owner: SharedBytes)? {
    guard case .shared(let owner) = storage else { return nil }
    return (UnsafeRawBufferPointer(rebasing: owner.buffer[range]), owner)
  }

  /// Slices are equal if their bytes are.
  public static func == (a: WireSlice, b: WireSlice) -> Bool {
    a.withUnsafeBytes { x in b.withUnsafeBytes { y in x.elementsEqual(y) } }
  }
}
