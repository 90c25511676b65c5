import Files
import JSON
import Kernels

/// A tensor on its way into a safetensors file.
public struct SafetensorsItem {
  public let name: String
  public let shape: [Int]
  public let dtype: StoredType
  /// Hands over the bytes when their turn comes, so that a large model need not be in memory at once.
  fileprivate let content: (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

  /// `bytes` must stay valid until the file is written.
  public init(name: String, shape: [Int], dtype: StoredType, bytes: UnsafeRawBufferPointer) {
    self.init(name: name, shape: shape, dtype: dtype) { write in try write(bytes) }
  }

  /// Floats, rounded to the nearest number of `dtype` as they are written.
  public init(
    name: String, shape: [Int], as dtype: WrittenType = .f32, values: @escaping () throws -> [Float]
  ) {
    self.init(name: name, shape: shape, dtype: dtype.stored) { write in
      try dtype.write(try values(), write)
    }
  }

  public init(name: String, tensor: HostTensor, as dtype: WrittenType = .f32) {
    self.init(name: name, shape: tensor.shape, as: dtype) { tensor.values }
  }

  /// Bytes that are made as they are written: `content` hands them over in order, as many as the shape needs.
  public init(
    name: String, shape: [Int], dtype: StoredType,
    content: @escaping (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) {
    self.name = name
    self.shape = shape
    self.dtype = dtype
    self.content = content
  }

  public var byteCount: Int { shape.reduce(dtype.size, *) }
}

/// The formats that floats are written in.
public enum WrittenType: String, Sendable, CaseIterable {
  case f32, bf16, f16

  public var stored: StoredType {
    switch self {
    case .f32: .f32
    case .bf16: .bf16
    case .f16: .f16
    }
  }

  /// Hands over floats as their bytes in this format, rounded to the nearest.
  ///
  /// - Throws: ``ModelError`` if a finite number is too large for it.
  package func write(_ floats: [Float], _ write: (UnsafeRawBufferPointer) throws -> Void) throws {
    switch self {
    case .f32: try floats.withUnsafeBytes { try write($0) }
    case .bf16:
      var rounded = [UInt16](repeating: 0, count: floats.count)
      if !floats.isEmpty { nl_f32_to_bf16(nil, floats.count, floats, &rounded) }
      try rounded.withUnsafeBytes { try write($0) }
    case .f16:
      let halves = floats.map(\.halfBits)
      if let i = halves.indices.first(where: { halves[$0] & 0x7FFF == 0x7C00 && floats[$0].isFinite }) {
        throw ModelError(
          file: "f16",
          "cannot hold the number \(floats[i]), as its largest is 65504; store the weights as bf16 or f32")
      }
      try halves.withUnsafeBytes { try write($0) }
    }
  }
}

extension Float {
  /// Half precision (IEEE 754 binary16), to the nearest, ties to even; what is too large becomes infinite.
  package var halfBits: UInt16 {
    let sign = UInt16(bitPattern >> 16 & 0x8000)
    let magnitude = bitPattern & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 { return sign | 0x7E00 }
    if magnitude >= 0x4780_0000 { return sign | 0x7C00 }
    if magnitude < 0x3880_0000 {
      // Below 2⁻¹⁴ halves are multiples of 2⁻²⁴.
      let steps = (Float(bitPattern: magnitude) * 0x1p24).rounded(.toNearestOrEven)
      return sign | UInt16(steps)
    }
    let rounded = magnitude + 0xFFF + (magnitude >> 13 & 1)
    return sign | UInt16((rounded - 0x3800_0000) >> 13)
  }
}

/// Writes safetensors files; the same tensors always give the same bytes.
public enum SafetensorsWriter {
  /// Writes `items` to `path`, whole or not at all, and on the disk when this returns.
  ///
  /// Tensors stand in the order of falling element size, then of the UTF-8 bytes of their names, so that each is
  /// aligned; the header is padded with spaces to a multiple of 8 bytes.
  ///
  /// - Throws: ``ModelError`` if a name stands twice; `FileError` if the file cannot be written, or if the content of an item
  ///   is not as long as its shape says.
  public static func write(
    _ items: [SafetensorsItem], metadata: [(key: String, value: String)] = [("format", "pt")], to path: String
  ) throws {
    let sorted = items.sorted {
      $0.dtype.size != $1.dtype.size ? $0.dtype.size > $1.dtype.size : utf8Ascending($0.name, $1.name)
    }
    let header = try header(sorted, metadata: metadata, path: path)
    let file = try AtomicFile(path: path)
    try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try file.write($0) }
    try header.withUnsafeBytes { try file.write($0) }
    for item in sorted {
      try file.write("tensor \(item.name)", byteCount: item.byteCount, item.content)
    }
    try file.finish()
  }

  /// Writes f32 tensors, or rounds them to bf16.
  public static func write(_ tensors: [String: HostTensor], as dtype: WrittenType = .f32, to path: String)
    throws
  {
    try write(tensors.map { SafetensorsItem(name: $0.key, tensor: $0.value, as: dtype) }, to: path)
  }

  private static func header(
    _ items: [SafetensorsItem], metadata: [(key: String, value: String)], path: String
  ) throws -> [UInt8] {
    var object = JSONObject()
    var seen = Set<String.UTF8Bytes>()
    var members: [JSONObject.Member] = []
    if !metadata.isEmpty {
      for (key, value) in metadata { object[key] = .string(value) }
      members.append(.init(key: "__metadata__", value: .object(object)))
    }
    var start = 0
    for item in items {
      guard seen.insert(.init(item.name)).inserted, item.name != "__metadata__" else {
        throw ModelError(file: path, name: "tensor \(item.name)", "cannot be written: the name is taken")
      }
      let end = start + item.byteCount
      let value: JSONValue = [
        "dtype": .string(item.dtype.rawValue), "shape": .numbers(item.shape),
        "data_offsets": .numbers([start, end]),
      ]
      members.append(.init(key: item.name, value: value))
      start = end
    }
    var bytes = JSONValue.object(JSONObject(members)).bytes()
    bytes.append(contentsOf: repeatElement(0x20, count: (8 - bytes.count % 8) % 8))
    return bytes
  }
}
