import Harness
import Kernels
import Testing

extension ISASuite {
  /// Additions and multiplications of whole arrays: one rounding each, so the expected bits are Swift's own.
  @Suite struct VectorArithmeticTests {
    @Test(arguments: [1, 15, 16, 17, 40_000]) func addsAndScales(count: Int) {
      var random = SplitMix64(seed: 3)
      let a = random.floats(count)
      let b = random.floats(count)
      let sum = ISASuite.sameBits { pool in
        var y = a
        y.withUnsafeMutableBufferPointer { nl_add(pool, count, $0.baseAddress, b, $0.baseAddress) }
        return y
      }
      #expect(sum == zip(a, b).map(+))
      let scaled = ISASuite.sameBits { pool in
        var y = a
        y.withUnsafeMutableBufferPointer { nl_scale(pool, count, 0.3, $0.baseAddress, $0.baseAddress) }
        return y
      }
      #expect(scaled == a.map { $0 * 0.3 })
    }

    @Test(arguments: [(1, 5), (3, 64), (300, 77), (1000, 130)]) func addsABiasToEachRow(rows: Int, n: Int) {
      var random = SplitMix64(seed: 4)
      let x = random.floats(rows * n)
      let bias = random.floats(n)
      let y = ISASuite.sameBits { pool in
        var y = x
        nl_add_bias(pool, rows, n, bias, &y)
        return y
      }
      #expect(y == x.indices.map { x[$0] + bias[$0 % n] })
    }

    // Kernels.h: one chain of adds per block of 256 rows, blocks added in ascending order.
    @Test(arguments: [(1, 5), (256, 16), (257, 64), (700, 131)]) func sumsColumns(rows: Int, n: Int) {
      var random = SplitMix64(seed: 5)
      let x = random.floats(rows * n)
      let start = random.floats(n)
      for accumulate in [false, true] {
        var expected = start
        for column in 0..<n {
          for block in stride(from: 0, to: rows, by: 256) {
            var sum: Float = 0
            for row in block..<min(rows, block + 256) { sum += x[row * n + column] }
            expected[column] = block == 0 && !accumulate ? sum : expected[column] + sum
          }
        }
        let sum = ISASuite.sameBits { pool in
          var y = start
          nl_column_sum(pool, rows, n, x, &y, accumulate)
          return y
        }
        #expect(sum == expected)
      }
    }

    @Test func theSumOfNoRowsIsZero() {
      var sum: [Float] = [1, 2]
      nl_column_sum(nil, 0, 2, [], &sum, false)
      #expect(sum == [0, 0])
    }
  }
}
