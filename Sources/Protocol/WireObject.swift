/// A named run of bytes that travels beside a message's control body: parameters, gradients, tokens. Numbers are
/// little-endian, as on every machine that this project runs on.
public struct WireObject: Sendable, Equatable {
  private enum Storage: Sendable {
    case bytes([UInt8])
    case floats([Float])
    case integers([Int32])
  }

  public let name: String
  /// SHA-256 of the bytes, in hexadecimal; computed once, when the object is made.
  public let sha256: String
  private let storage: Storage

  public init(name: String, bytes: [UInt8]) { self.init(name: name, .bytes(bytes)) }

  /// Keeps the array as it is; nothing is copied.
  public init(name: String, floats: [Float]) { self.init(name: name, .floats(floats)) }

  /// Keeps the array as it is; nothing is copied.
  public init(name: String, integers: [Int32]) { self.init(name: name, .integers(integers)) }

  private init(name: String, _ storage: Storage) {
    self.name = name
    self.storage = storage
    sha256 = WireObject.withUnsafeBytes(of: storage) { Digest.sha256($0) }
  }

  /// An object whose digest has been checked against its bytes.
  init(name: String, bytes: [UInt8], verified sha256: String) {
    self.name = name
    self.sha256 = sha256
    storage = .bytes(bytes)
  }

  public var byteCount: Int { withUnsafeBytes { $0.count } }

  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try WireObject.withUnsafeBytes(of: storage, body)
  }

  private static func withUnsafeBytes<R>(
    of storage: Storage, _ body: (UnsafeRawBufferPointer) throws -> R
  ) rethrows -> R {
    switch storage {
    case .bytes(let values): try values.withUnsafeBytes(body)
    case .floats(let values): try values.withUnsafeBytes(body)
    case .integers(let values): try values.withUnsafeBytes(body)
    }
  }

  /// The bytes as f32 values.
  public func floats() throws(ProtocolError) -> [Float] {
    if case .floats(let values) = storage { return values }
    return try values(of: Float.self)
  }

  /// The bytes as 32-bit integers.
  public func integers() throws(ProtocolError) -> [Int32] {
    if case .integers(let values) = storage { return values }
    return try values(of: Int32.self)
  }

  private func values<Element: BitwiseCopyable>(of type: Element.Type) throws(ProtocolError) -> [Element] {
    let size = MemoryLayout<Element>.size
    guard byteCount % size == 0 else {
      throw ProtocolError(.field, "object \"\(name)\" has \(byteCount) bytes, not a multiple of \(size)")
    }
    return withUnsafeBytes { bytes in
      [Element](unsafeUninitializedCapacity: bytes.count / size) { buffer, count in
        UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
        count = bytes.count / size
      }
    }
  }

  /// Objects are equal if their names and digests are.
  public static func == (a: WireObject, b: WireObject) -> Bool { a.name == b.name && a.sha256 == b.sha256 }
}
