/// Rounds floats to formats of ggml, with the operations of gguf-py 0.19 (`gguf/quants.py`) in their order.
enum BlockEncoder {
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
      let scale = d.halfBits
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
