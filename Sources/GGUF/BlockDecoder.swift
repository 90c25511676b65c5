import Kernels

/// Turns rows of a GGUF file into floats, with the operations of gguf-py 0.19 (`gguf/quants.py`) in their order, so that
/// every bit is the same. Nothing is contracted: a product is rounded before anything is added to it.
enum BlockDecoder {
  typealias Bytes = UnsafePointer<UInt8>
  typealias Floats = UnsafeMutablePointer<Float>

  /// - Parameters:
  ///   - bytes: `count` numbers in whole blocks, aligned to two bytes.
  ///   - out: room for `count` floats.
  static func decode(_ type: GGUFTensorType, _ bytes: Bytes, count: Int, into out: Floats) {
    let blocks = count / type.blockCount
    switch type {
    case .f32: UnsafeMutableRawPointer(out).copyMemory(from: bytes, byteCount: count * 4)
    case .f16: nl_f16_to_f32(nil, count, UnsafeRawPointer(bytes).assumingMemoryBound(to: UInt16.self), out)
    case .bf16: nl_bf16_to_f32(nil, count, UnsafeRawPointer(bytes).assumingMemoryBound(to: UInt16.self), out)
    case .q40: each(blocks, bytes, out, type, q40)
    case .q41: each(blocks, bytes, out, type, q41)
    case .q50: each(blocks, bytes, out, type, q50)
    case .q51: each(blocks, bytes, out, type, q51)
    case .q80: each(blocks, bytes, out, type, q80)
    case .q4K: each(blocks, bytes, out, type, KBlockDecoder.q4K)
    case .q5K: each(blocks, bytes, out, type, KBlockDecoder.q5K)
    case .q6K: each(blocks, bytes, out, type, KBlockDecoder.q6K)
    }
  }

  @inline(__always)
  private static func each(
    _ blocks: Int, _ bytes: Bytes, _ out: Floats, _ type: GGUFTensorType, _ decode: (Bytes, Floats) -> Void
  ) {
    let (size, count) = (type.blockSize, type.blockCount)
    for block in 0..<blocks { decode(bytes + block * size, out + block * count) }
  }

  /// A half-precision number (IEEE 754 binary16, little-endian), which a float holds exactly.
  @inline(__always)
  static func half(_ bytes: Bytes) -> Float {
    let bits = UInt32(bytes[0]) | UInt32(bytes[1]) << 8
    let sign = (bits & 0x8000) << 16
    let magnitude = bits & 0x7FFF
    if magnitude >= 0x7C00 { return Float(bitPattern: sign | 0x7F80_0000 | (magnitude & 0x3FF) << 13) }
    if magnitude < 0x400 {
      let value = Float(magnitude) * 0x1p-24
      return sign == 0 ? value : -value
    }
    return Float(bitPattern: sign | (magnitude << 13) + 0x3800_0000)
  }

  /// d·(q − 8); the low halves of 16 bytes, then the high ones
  private static func q40(_ block: Bytes, _ out: Floats) {
    let d = half(block)
    for i in 0..<16 {
      let byte = block[2 + i]
      out[i] = d * Float(Int32(byte & 15) - 8)
      out[16 + i] = d * Float(Int32(byte >> 4) - 8)
    }
  }

  /// d·q + m
  private static func q41(_ block: Bytes, _ out: Floats) {
    let (d, m) = (half(block), half(block + 2))
    for i in 0..<16 {
      let byte = block[4 + i]
      out[i] = d * Float(byte & 15) + m
      out[16 + i] = d * Float(byte >> 4) + m
    }
  }

  /// d·(q − 16); the fifth bits are those of a 32-bit number
  private static func q50(_ block: Bytes, _ out: Floats) {
    let d = half(block)
    let high = fifthBits(block + 2)
    for i in 0..<16 {
      let byte = block[6 + i]
      out[i] = d * Float(Int32(byte & 15) + Int32((high >> UInt32(i) & 1) << 4) - 16)
      out[16 + i] = d * Float(Int32(byte >> 4) + Int32((high >> UInt32(16 + i) & 1) << 4) - 16)
    }
  }

  /// d·q + m
  private static func q51(_ block: Bytes, _ out: Floats) {
    let (d, m) = (half(block), half(block + 2))
    let high = fifthBits(block + 4)
    for i in 0..<16 {
      let byte = block[8 + i]
      out[i] = d * Float(UInt32(byte & 15) | (high >> UInt32(i) & 1) << 4) + m
      out[16 + i] = d * Float(UInt32(byte >> 4) | (high >> UInt32(16 + i) & 1) << 4) + m
    }
  }

  private static func fifthBits(_ bytes: Bytes) -> UInt32 {
    UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
  }

  /// q·d
  private static func q80(_ block: Bytes, _ out: Floats) {
    let d = half(block)
    for i in 0..<32 { out[i] = Float(Int8(bitPattern: block[2 + i])) * d }
  }
}
