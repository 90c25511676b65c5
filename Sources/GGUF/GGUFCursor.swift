import LanguageModel

/// Reads the little-endian fields of a GGUF file one after the other, and fails where the file ends.
struct GGUFCursor {
  let bytes: UnsafeRawBufferPointer
  let file: String
  private(set) var at = 0

  /// The longest text that is read: chat templates are some 10 KB.
  private static let longestText = 1 << 24
  /// The longest name of a key or a tensor.
  private static let longestName = 1 << 16

  init(_ bytes: UnsafeRawBufferPointer, file: String, at: Int = 0) {
    self.bytes = bytes
    self.file = file
    self.at = at
  }

  var left: Int { bytes.count - at }

  func fault(_ reason: String, in what: String) -> ModelError {
    ModelError(file: file, name: what, "\(reason) (byte \(at) of \(bytes.count))")
  }

  mutating func skip(_ count: Int, in what: String) throws(ModelError) {
    guard count >= 0, count <= left else {
      throw fault("the file ends in the middle of it; it was cut short, or is not a GGUF file", in: what)
    }
    at += count
  }

  mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type, in what: String
  ) throws(ModelError) -> T {
    let start = at
    try skip(MemoryLayout<T>.size, in: what)
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: T.self))
  }

  /// A count of things of at least so many bytes each, of which the rest of the file can hold as many.
  mutating func count(ofSize size: Int, in what: String) throws(ModelError) -> Int {
    let number = try integer(UInt64.self, in: what)
    guard let count = Int(exactly: number), count <= left / max(1, size) else {
      throw fault(
        "its count, \(number), is more than the rest of the file can hold; it was cut short, or is not a GGUF file",
        in: what)
    }
    return count
  }

  /// A text behind its length.
  mutating func text(in what: String, isName: Bool = false) throws(ModelError) -> String {
    let limit = isName ? Self.longestName : Self.longestText
    let length = try integer(UInt64.self, in: what)
    guard let count = Int(exactly: length), count <= limit else {
      throw fault("a text of \(length) bytes is longer than \(limit)", in: what)
    }
    let start = at
    try skip(count, in: what)
    let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw fault("a text is not valid UTF-8", in: what)
    }
    return text
  }

  mutating func kind(in what: String) throws(ModelError) -> GGUFValue.Kind {
    let number = try integer(UInt32.self, in: what)
    guard let kind = GGUFValue.Kind(rawValue: number) else {
      throw fault("has the unknown type \(number)", in: what)
    }
    return kind
  }

  mutating func value(_ kind: GGUFValue.Kind, in what: String) throws(ModelError) -> GGUFValue {
    switch kind {
    case .uint8: .unsigned(UInt64(try integer(UInt8.self, in: what)))
    case .int8: .signed(Int64(try integer(Int8.self, in: what)))
    case .uint16: .unsigned(UInt64(try integer(UInt16.self, in: what)))
    case .int16: .signed(Int64(try integer(Int16.self, in: what)))
    case .uint32: .unsigned(UInt64(try integer(UInt32.self, in: what)))
    case .int32: .signed(Int64(try integer(Int32.self, in: what)))
    case .uint64: .unsigned(try integer(UInt64.self, in: what))
    case .int64: .signed(try integer(Int64.self, in: what))
    case .float32: .float(Float(bitPattern: try integer(UInt32.self, in: what)))
    case .float64: .double(Double(bitPattern: try integer(UInt64.self, in: what)))
    case .bool: .bool(try integer(UInt8.self, in: what) != 0)
    case .string: .string(try text(in: what))
    case .array: .array(try array(in: what))
    }
  }

  /// Walks over a list. Lists of lists are in no file of a language model.
  private mutating func array(in what: String) throws(ModelError) -> GGUFArray {
    let kind = try kind(in: what)
    guard kind != .array else { throw fault("is a list of lists, which is not supported", in: what) }
    let count = try count(ofSize: kind.size ?? 8, in: what)
    let array = GGUFArray(kind: kind, count: count, start: at)
    if let size = kind.size {
      try skip(count * size, in: what)
    } else {
      for _ in 0..<count {
        let length = try integer(UInt64.self, in: what)
        guard let bytes = Int(exactly: length) else {
          throw fault("a text of \(length) bytes is in it", in: what)
        }
        try skip(bytes, in: what)
      }
    }
    return array
  }
}
