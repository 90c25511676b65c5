import Digests

/// A named run of bytes that travels beside a message's control body: parameters, gradients, tokens. Numbers are
/// little-endian, as on every machine that this project runs on.
public struct WireObject: Sendable, Equatable {
  public let name: String
  /// SHA-256 of the bytes, in hexadecimal; computed once, when the object is made.
  public let sha256: String
  /// SHA-256 of the bytes up to the end of each segment but the last, whose digest is the object's own.
  let segments: [String]
  private let storage: WireStorage
  /// Whether every number is finite, if that was looked at while the bytes came.
  private var knownFinite: Bool?

  public init(name: String, bytes: [UInt8]) { self.init(name: name, .bytes(bytes)) }

  /// Keeps the array as it is; nothing is copied.
  public init(name: String, floats: [Float]) { self.init(name: name, .floats(floats)) }

  /// Keeps the array as it is; nothing is copied.
  public init(name: String, integers: [Int32]) { self.init(name: name, .integers(integers)) }

  /// Keeps the memory as it is; its bytes are sent from there.
  public init(name: String, shared: SharedBytes) { self.init(name: name, .shared(shared)) }

  /// Copies the values to memory that every peer is sent the object from; for what goes to many.
  public init(name: String, sharing floats: [Float]) {
    self.init(name: name, shared: floats.withUnsafeBytes { SharedBytes(copying: $0) })
  }

  private init(name: String, _ storage: WireStorage) {
    self.name = name
    self.storage = storage
    (sha256, segments) = storage.withUnsafeBytes { Self.digests(of: $0) }
  }

  /// An object whose digest has been checked against its bytes.
  ///
  /// - Parameter isFinite: whether every f32 in them is; nil if nobody has looked.
  package init(checked declaration: ObjectDeclaration, bytes: [UInt8], isFinite: Bool? = nil) {
    knownFinite = isFinite
    name = declaration.name
    sha256 = declaration.sha256
    segments = declaration.segments
    storage = .bytes(bytes)
  }

  /// The same, with its bytes where they came to lie.
  package init(checked declaration: ObjectDeclaration, shared: SharedBytes, isFinite: Bool) {
    knownFinite = isFinite
    name = declaration.name
    sha256 = declaration.sha256
    segments = declaration.segments
    storage = .shared(shared)
  }

  /// An object whose bytes have not come, or are not kept.
  init(announced declaration: ObjectDeclaration) {
    name = declaration.name
    sha256 = declaration.sha256
    segments = declaration.segments
    storage = .announced(declaration.byteCount)
  }

  private static func digests(of bytes: UnsafeRawBufferPointer) -> (sha256: String, segments: [String]) {
    var builder = DigestBuilder()
    var segments: [String] = []
    var start = 0
    while bytes.count - start > WireLimits.segmentBytes {
      let end = start + WireLimits.segmentBytes
      builder.update(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
      segments.append(builder.finish())
      start = end
    }
    builder.update(UnsafeRawBufferPointer(rebasing: bytes[start...]))
    return (builder.finish(), segments)
  }

  public var byteCount: Int { storage.byteCount }

  /// Whether there are bytes; not those of an object that was only offered.
  public var isHere: Bool { if case .announced = storage { false } else { true } }

  /// Whether every one of the bytes' f32 values is finite. Bytes that are not here say nothing else.
  public var hasFiniteFloats: Bool { knownFinite ?? withUnsafeBytes(\.areFiniteFloats) }

  /// Of an object that was only offered there are no bytes.
  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try storage.withUnsafeBytes(body)
  }

  /// A part of the bytes, without copying them.
  ///
  /// - Precondition: the range lies within the bytes, and they are here.
  public func slice(_ range: Range<Int>) -> WireSlice { WireSlice(storage, range) }

  /// The bytes as f32 values.
  public func floats() throws(ProtocolError) -> [Float] {
    if case .floats(let values) = storage { return values }
    return try values(of: Float.self)
  }

  /// Lends the bytes as f32 values; they are copied only if they do not lie as such values must.
  public func withFloats<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) throws -> R {
    try withUnsafeBytes { bytes in
      guard isHere, bytes.count % MemoryLayout<Float>.size == 0,
        Int(bitPattern: bytes.baseAddress) % MemoryLayout<Float>.alignment == 0
      else { return try floats().withUnsafeBufferPointer(body) }
      return try bytes.withMemoryRebound(to: Float.self, body)
    }
  }

  /// The bytes as 32-bit integers.
  public func integers() throws(ProtocolError) -> [Int32] {
    if case .integers(let values) = storage { return values }
    return try values(of: Int32.self)
  }

  private func values<Element: BitwiseCopyable>(of type: Element.Type) throws(ProtocolError) -> [Element] {
    let size = MemoryLayout<Element>.size
    guard isHere else { throw ProtocolError(.field, "the bytes of object \"\(name)\" are not here") }
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
