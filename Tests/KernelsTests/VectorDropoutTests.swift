import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct VectorDropoutTests {
    static func dropout(
      _ x: [Float], n: Int, p: Float, key: UInt64 = 0x1234_5678_9abc_def0, site: UInt32 = 3, rows: [Int32],
      positions: [Int32]
    ) -> [Float] {
      ISASuite.sameBits { pool in
        var y = [Float](repeating: .nan, count: x.count)
        nl_dropout(pool, rows.count, n, p, key, site, rows, positions, x, &y)
        return y
      }
    }

    // Kernels.h: counter (row, position, channel/4, site), and of the four words that of channel mod 4. A word below
    // p·2³² drops.
    @Test(arguments: [1, 3, 64, 70, 200]) func followsTheCounter(n: Int) {
      var random = SplitMix64(seed: 19)
      let rows: [Int32] = [0, 0, 5, -1]
      let positions: [Int32] = [0, 1, 9, 1000]
      let x = random.floats(4 * n)
      let y = Self.dropout(x, n: n, p: 0.25, rows: rows, positions: positions)
      for row in 0..<4 {
        for channel in 0..<n {
          var words = [UInt32](repeating: 0, count: 4)
          let counter = [
            UInt32(bitPattern: rows[row]), UInt32(bitPattern: positions[row]), UInt32(channel / 4), 3,
          ]
          nl_philox4x32(counter, [0x9abc_def0, 0x1234_5678], &words)
          let at = row * n + channel
          #expect(y[at] == (words[channel % 4] >= 1 << 30 ? x[at] * (1 / (1 - 0.25)) : 0))
        }
      }
    }

    @Test(arguments: [0, 0.1, 0.5, 0.9, 1] as [Float]) func keepsTheStatedShare(p: Float) {
      let (rows, n) = (64, 1024)
      let ids = (0..<Int32(rows)).map { $0 }
      let ones = [Float](repeating: 1, count: rows * n)
      let y = Self.dropout(ones, n: n, p: p, rows: ids, positions: ids)
      let kept = y.count { $0 != 0 }
      let count = Double(rows * n)
      // Five standard deviations of a binomial count.
      let spread = 5 * (count * Double(p) * Double(1 - p)).squareRoot()
      #expect(abs(Double(kept) - count * Double(1 - p)) <= spread + 0.01 * Double(p == 0 || p == 1 ? 0 : 1))
      #expect(y.allSatisfy { $0 == 0 || $0 == 1 / (1 - p) })
    }

    @Test func dependsOnKeySiteRowAndPositionAlone() {
      let ones = [Float](repeating: 1, count: 3 * 256)
      let base = Self.dropout(ones, n: 256, p: 0.5, rows: [4, 5, 6], positions: [7, 8, 9])
      // The same rows in another order and number: each row keeps its mask.
      let moved = Self.dropout(
        Array(ones[..<512]), n: 256, p: 0.5, rows: [6, 4], positions: [9, 7])
      #expect(Array(moved[..<256]) == Array(base[512...]) && Array(moved[256...]) == Array(base[..<256]))
      for other in [
        Self.dropout(ones, n: 256, p: 0.5, key: 1, rows: [4, 5, 6], positions: [7, 8, 9]),
        Self.dropout(ones, n: 256, p: 0.5, site: 4, rows: [4, 5, 6], positions: [7, 8, 9]),
        Self.dropout(ones, n: 256, p: 0.5, rows: [5, 6, 7], positions: [7, 8, 9]),
        Self.dropout(ones, n: 256, p: 0.5, rows: [4, 5, 6], positions: [8, 9, 10]),
      ] {
        // Independent masks agree in half of the channels: 384 ± 5·√192.
        let equal = zip(base, other).count { $0 == $1 }
        #expect(abs(equal - 384) < 70)
      }
    }

    @Test func droppedInfinitiesAreZeros() {
      let x = [Float](repeating: .infinity, count: 64)
      let y = Self.dropout(x, n: 64, p: 0.5, rows: [0], positions: [0])
      #expect(y.allSatisfy { $0 == 0 || $0 == .infinity } && y.contains(0) && y.contains(.infinity))
    }
  }
}
