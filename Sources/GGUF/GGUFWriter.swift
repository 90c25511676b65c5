import Files
import LanguageModel

/// A value for the metadata of a GGUF file.
enum GGUFEntry {
  case string(String)
  case uint32(Int)
  case float32(Float)
  case bool(Bool)
  case strings([String])
  case int32s([Int])
  case float32s([Float])

  fileprivate var kind: GGUFValue.Kind {
    switch self {
    case .string: .string
    case .uint32: .uint32
    case .float32: .float32
    case .bool: .bool
    case .strings, .int32s, .float32s: .array
    }
  }
}

/// A tensor on its way into a GGUF file.
struct GGUFItem {
  let name: String
  /// Rows first.
  let shape: [Int]
  let type: GGUFTensorType
  /// Hands over the bytes in order when their turn comes.
  let content: (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

  var byteCount: Int { shape.reduce(1, *) / type.blockCount * type.blockSize }
}

/// Writes GGUF files of version 3; the same content always gives the same bytes.
enum GGUFWriter {
  private static let alignment = 32

  /// Writes a file, whole or not at all, and on the disk when this returns.
  static func write(
    metadata: [(key: String, value: GGUFEntry)], items: [GGUFItem], to path: String
  ) throws {
    let file = try AtomicFile(path: path)
    let header = header(metadata, items)
    try header.withUnsafeBytes { try file.write($0) }
    try pad(after: header.count, file)
    for item in items {
      try file.write("tensor \(item.name)", byteCount: item.byteCount, item.content)
      try pad(after: item.byteCount, file)
    }
    try file.finish()
  }

  private static func padding(after count: Int) -> Int { (alignment - count % alignment) % alignment }

  private static func pad(after count: Int, _ file: borrowing AtomicFile) throws {
    let zeros = [UInt8](repeating: 0, count: padding(after: count))
    try zeros.withUnsafeBytes { try file.write($0) }
  }

  private static func header(_ metadata: [(key: String, value: GGUFEntry)], _ items: [GGUFItem]) -> [UInt8] {
    var out = Array("GGUF".utf8)
    append(UInt32(3), to: &out)
    append(UInt64(items.count), to: &out)
    append(UInt64(metadata.count), to: &out)
    for (key, value) in metadata {
      append(key, to: &out)
      append(value.kind.rawValue, to: &out)
      append(value, to: &out)
    }
    var offset = 0
    for item in items {
      append(item.name, to: &out)
      append(UInt32(item.shape.count), to: &out)
      for size in item.shape.reversed() { append(UInt64(size), to: &out) }
      append(item.type.rawValue, to: &out)
      append(UInt64(offset), to: &out)
      offset += item.byteCount + padding(after: item.byteCount)
    }
    return out
  }

  private static func append(_ value: GGUFEntry, to out: inout [UInt8]) {
    switch value {
    case .string(let text): append(text, to: &out)
    case .uint32(let number): append(UInt32(clamping: number), to: &out)
    case .float32(let number): append(number.bitPattern, to: &out)
    case .bool(let flag): out.append(flag ? 1 : 0)
    case .strings(let texts):
      append(.string, texts.count, to: &out)
      for text in texts { append(text, to: &out) }
    case .int32s(let numbers):
      append(.int32, numbers.count, to: &out)
      for number in numbers { append(Int32(clamping: number), to: &out) }
    case .float32s(let numbers):
      append(.float32, numbers.count, to: &out)
      for number in numbers { append(number.bitPattern, to: &out) }
    }
  }

  private static func append(_ kind: GGUFValue.Kind, _ count: Int, to out: inout [UInt8]) {
    append(kind.rawValue, to: &out)
    append(UInt64(count), to: &out)
  }

  private static func append(_ text: String, to out: inout [UInt8]) {
    append(UInt64(text.utf8.count), to: &out)
    out.append(contentsOf: text.utf8)
  }

  private static func append(_ number: some FixedWidthInteger, to out: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { out.append(contentsOf: $0) }
  }
}
