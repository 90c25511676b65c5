import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct VectorConvertTests {
    /// The value of the bits of an IEEE half, from the definition.
    static func half(_ bits: UInt16) -> Float {
      let exponent = Int(bits >> 10 & 31)
      let fraction = Double(bits & 1023)
      let size =
        exponent == 31
        ? (fraction == 0 ? Double.infinity : .nan)
        : exponent == 0
          ? fraction * 0x1p-24
          : (1 + fraction / 1024) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
      return Float(bits >> 15 == 1 ? -size : size)
    }

    @Test func allHalves() {
      let all = (0...UInt16.max).map { $0 }
      let values = ISASuite.sameBits { pool in
        var y = [Float](repeating: 0, count: all.count)
        nl_f16_to_f32(pool, all.count, all, &y)
        return y
      }
      for (bits, value) in zip(all, values) {
        let expected = Self.half(bits)
        #expect(expected.isNaN ? value.isNaN : value.bitPattern == expected.bitPattern, "\(bits)")
      }
    }

    @Test func allBrainFloats() {
      let all = (0...UInt16.max).map { $0 }
      let values = ISASuite.sameBits { pool in
        var y = [Float](repeating: 0, count: all.count)
        nl_bf16_to_f32(pool, all.count, all, &y)
        return y
      }
      #expect(zip(all, values).allSatisfy { $1.bitPattern == UInt32($0) << 16 })
    }

    @Test func roundsToTheNearestBrainFloat() {
      var random = SplitMix64(seed: 20)
      var x = (0..<20_000).map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random)) }
      // Ties go to even; the largest float rounds to infinity; denormals and signed zeros stay.
      let ties: [UInt32] = [
        0x3f80_8000, 0x3f81_8000, 0x3f80_8001, 0x7f7f_ffff, 0x8000_0000, 0x0000_8000, 0x0001_8000,
      ]
      x += ties.map { Float(bitPattern: $0) } + [.nan, -.infinity, Float(bitPattern: 0x7f80_0001)]
      var stored: [UInt16] = []
      _ = ISASuite.sameBits { pool in
        stored = [UInt16](repeating: 0, count: x.count)
        nl_f32_to_bf16(pool, x.count, x, &stored)
        return stored.map(Float.init)
      }
      for (value, bits) in zip(x, stored) {
        let rounded = Float(bitPattern: UInt32(bits) << 16)
        if value.isNaN {
          #expect(rounded.isNaN)
          continue
        }
        let below = UInt16(value.bitPattern >> 16)
        let low = Float(bitPattern: UInt32(below) << 16)
        let high = Float(bitPattern: (UInt32(below) + 1) << 16)
        guard value.isFinite else {
          #expect(rounded == value)
          continue
        }
        // In Double, with infinity standing at the next power of two.
        let top = high.isFinite ? Double(high) : Double(sign: value.sign, exponent: 128, significand: 1)
        let down = abs(Double(value) - Double(low))
        let up = abs(top - Double(value))
        let expected = down < up ? below : up < down ? below + 1 : below + (below & 1)
        #expect(bits == expected, "\(value)")
      }
      #expect(Array(stored[20_000..<20_007]) == [0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x8000, 0x0000, 0x0002])
    }

    @Test(arguments: [1, 16, 100, 70_000]) func countsWhatIsNotFinite(count: Int) {
      var random = SplitMix64(seed: 21)
      var x = random.floats(count)
      let bad: [Float] = [.nan, .infinity, -.infinity, -.nan]
      var expected = 0
      for i in stride(from: 0, to: count, by: 7) {
        x[i] = bad[i / 7 % 4]
        expected += 1
      }
      let stored = x.map { UInt16($0.bitPattern >> 16) }
      let halves = x.map { Float16($0).bitPattern }
      let counts = ISASuite.sameBits { pool in
        [
          Float(nl_count_nonfinite(pool, count, x, NL_F32)),
          Float(nl_count_nonfinite(pool, count, stored, NL_BF16)),
          Float(nl_count_nonfinite(pool, count, halves, NL_F16)),
        ]
      }
      #expect(counts == [Float](repeating: Float(expected), count: 3))
      #expect(
        nl_count_nonfinite(nil, 3, [Float.greatestFiniteMagnitude, -Float.leastNonzeroMagnitude, 0], NL_F32)
          == 0)
    }
  }
}
