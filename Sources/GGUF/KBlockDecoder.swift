/// The blocks of 256 numbers, whose parts have scales of their own ("K" types); see ``BlockDecoder``.
enum KBlockDecoder {
  typealias Bytes = BlockDecoder.Bytes
  typealias Floats = BlockDecoder.Floats

  /// (d·scale)·q − dmin·minimum, for each eighth of the block
  static func q4K(_ block: Bytes, _ out: Floats) {
    let scales = Scales(block)
    let numbers = block + 16
    for part in 0..<8 {
      let (scale, minimum) = scales[part]
      let (bytes, out) = (numbers + 32 * (part / 2), out + 32 * part)
      let shift = UInt8(part % 2 * 4)
      for i in 0..<32 { out[i] = scale * Float(bytes[i] >> shift & 15) - minimum }
    }
  }

  /// As Q4_K, with a fifth bit: bit p of 32 bytes is that of part p.
  static func q5K(_ block: Bytes, _ out: Floats) {
    let scales = Scales(block)
    let (high, numbers) = (block + 16, block + 48)
    for part in 0..<8 {
      let (scale, minimum) = scales[part]
      let (bytes, out) = (numbers + 32 * (part / 2), out + 32 * part)
      let shift = UInt8(part % 2 * 4)
      for i in 0..<32 {
        let q = bytes[i] >> shift & 15 | (high[i] >> UInt8(part) & 1) << 4
        out[i] = scale * Float(q) - minimum
      }
    }
  }

  /// (d·scale)·(q − 32): each half of the block has 64 bytes with four low bits and 32 with two high ones.
  static func q6K(_ block: Bytes, _ out: Floats) {
    let d = BlockDecoder.half(block + 208)
    for part in 0..<8 {
      let (half, quarter) = (part / 4, part % 4)
      let low = block + 64 * half + 32 * (quarter % 2)
      let high = block + 128 + 32 * half
      let (lowShift, highShift) = (UInt8(quarter / 2 * 4), UInt8(quarter * 2))
      for i in 0..<32 {
        let scale = d * Float(Int8(bitPattern: block[192 + 2 * part + i / 16]))
        let q = low[i] >> lowShift & 15 | (high[i] >> highShift & 3) << 4
        out[32 * part + i] = scale * Float(Int32(q) - 32)
      }
    }
  }

  /// Eight scales and minima of six bits each, in 12 bytes: of the first four the low bits stand alone, of the last four
  /// the low four bits share a byte, and the high two are above those of the first.
  private struct Scales {
    private let d: Float
    private let dmin: Float
    private let packed: Bytes

    init(_ block: Bytes) {
      d = BlockDecoder.half(block)
      dmin = BlockDecoder.half(block + 2)
      packed = block + 4
    }

    @inline(__always)
    subscript(part: Int) -> (scale: Float, minimum: Float) {
      if part < 4 {
        return (d * Float(packed[part] & 0x3F), dmin * Float(packed[part + 4] & 0x3F))
      }
      let scale = packed[part + 4] & 15 | packed[part - 4] >> 2 & 0x30
      let minimum = packed[part + 4] >> 4 | packed[part] >> 2 & 0x30
      return (d * Float(scale), dmin * Float(minimum))
    }
  }
}
