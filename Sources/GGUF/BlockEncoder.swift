/// Rounds floats to formats of ggml, with the operations of gguf-py 0.19 (`gguf/quants.py`) in their order.
enum BlockEncoder {
  /// Half precision (IEEE 754 binary16), to the nearest, ties to even; what is too large becomes infinite.
  static func half(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(bits >> 16 & 0x8000)
    let magnitude = bits & 0x7FFF_FFFF
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

  /// Blocks of 32: d = max|x|/127 as a half, then x·(1/d) to the nearest, ties away from zero.
  ///
  /// - Parameter values: a multiple of 32 of them, all finite.
  static func q80(_ values: [Float]) -> [UInt8] {
    let count = GGUFTensorType.q80.blockCount
    var out: [UInt8] = []
    out.reserveCapacity(values.count / count * GGUFTensorType.q80.blockSize)
    for start in stride(from: 0, to: values.count, by: count) {
      let block = values[start..<start + count]
      let d = block.reduce(0) { max($0, abs($1)) } / 127
      let inverse: Float = d == 0 ? 0 : 1 / d
      let scale = half(d)
      out.append(UInt8(truncatingIfNeeded: scale))
      out.append(UInt8(scale >> 8))
      for value in block {
        let q = (value * inverse).rounded(.toNearestOrAwayFromZero)
        out.append(UInt8(bitPattern: q.isFinite ? Int8(max(-128, min(127, q))) : 0))
      }
    }
    return out
  }
}
