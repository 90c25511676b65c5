extension UnsafeRawBufferPointer {
  /// Whether every one of the f32 values that the bytes are is finite; bytes behind the last whole value do not count.
  package var areFiniteFloats: Bool {
    // The largest magnitude by its bits: what is not finite has all of the exponent's.
    var largest: UInt32 = 0
    if Int(bitPattern: baseAddress) % MemoryLayout<UInt32>.alignment == 0 {
      let whole = UnsafeRawBufferPointer(rebasing: self[..<(count & ~3)])
      whole.withMemoryRebound(to: UInt32.self) { words in
        for word in words { largest = Swift.max(largest, word & 0x7FFF_FFFF) }
      }
    } else {
      for offset in stride(from: 0, to: count & ~3, by: 4) {
        largest = Swift.max(largest, loadUnaligned(fromByteOffset: offset, as: UInt32.self) & 0x7FFF_FFFF)
      }
    }
    return largest < 0x7F80_0000
  }
}
