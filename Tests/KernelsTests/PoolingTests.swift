import Foundation
import Harness
import Kernels
import Testing

extension ISASuite {
  /// Means of rows, ReLU, and scales of rows against Double, the same bits on every instruction set and number of threads.
  @Suite struct PoolingTests {
    private let offsets: [Int32] = [0, 1, 40, 341, 345]
    private let n = 133

    private func numbers(_ count: Int, seed: UInt64) -> [Float] {
      var random = SplitMix64(seed: seed)
      return (0..<count).map { _ in Float.random(in: -2...2, using: &random) }
    }

    /// What `body` gives on every instruction set, with one thread and with three, which must be the same.
    private func onEveryISA(_ body: (OpaquePointer?) -> [Float]) -> [Float] {
      var results: [[Float]] = []
      ISASuite.inEach { _ in
        results.append(body(nil))
        let pool = nl_pool_create(3)
        results.append(body(pool))
        nl_pool_destroy(pool)
      }
      #expect(Set(results.map { $0.map(\.bitPattern) }).count == 1)
      return results[0]
    }

    @Test func meansOfRows() {
      let (rows, tokens) = (offsets.count - 1, Int(offsets.last ?? 0))
      let x = numbers(tokens * n, seed: 3)
      let y = onEveryISA { pool in
        var y = [Float](repeating: .nan, count: rows * n)
        nl_mean_rows(pool, rows, n, offsets, x, &y)
        return y
      }
      let dy = numbers(rows * n, seed: 4)
      let dx = onEveryISA { pool in
        var dx = [Float](repeating: .nan, count: tokens * n)
        nl_mean_rows_backward(pool, rows, n, offsets, -0.5, dy, &dx)
        return dx
      }
      for row in 0..<rows {
        let range = Int(offsets[row])..<Int(offsets[row + 1])
        for column in 0..<n {
          let mean = range.reduce(0) { $0 + Double(x[$1 * n + column]) } / Double(range.count)
          #expect(abs(Double(y[row * n + column]) - mean) < 2e-6)
          for token in range {
            let slope = -0.5 * Double(dy[row * n + column]) / Double(range.count)
            #expect(abs(Double(dx[token * n + column]) - slope) < 1e-6)
          }
        }
      }
    }

    @Test func relu() {
      let x = numbers(1003, seed: 5) + [0, -0.0, .leastNormalMagnitude, -3e38, 3e38]
      let dy = numbers(x.count, seed: 6)
      let y = onEveryISA { pool in
        var y = [Float](repeating: .nan, count: x.count)
        nl_relu_forward(pool, x.count, x, &y)
        return y
      }
      let dx = onEveryISA { pool in
        var dx = [Float](repeating: .nan, count: x.count)
        nl_relu_backward(pool, x.count, x, dy, &dx)
        return dx
      }
      #expect(y == x.map { max($0, 0) })
      #expect(dx == zip(x, dy).map { $0 > 0 ? $1 : 0 })
    }

    @Test func scalesOfRows() {
      let index = (0..<600).filter { $0 % 3 != 1 }.map(Int32.init)
      let (x, dy) = (numbers(600 * n, seed: 7), numbers(600 * n, seed: 8))
      let (scale, shift) = (numbers(n, seed: 9), numbers(n, seed: 10))
      let y = onEveryISA { pool in
        var y = x
        nl_scale_rows(pool, index.count, n, index, x, scale, shift, &y)
        return y
      }
      let weights = onEveryISA { pool in
        var (dscale, dshift) = ([Float](repeating: 0, count: n), [Float](repeating: 0, count: n))
        nl_scale_rows_weights(pool, index.count, n, index, x, dy, &dscale, &dshift)
        return dscale + dshift
      }
      for column in 0..<n {
        for row in 0..<600 {
          let value = x[row * n + column]
          let wanted =
            row % 3 == 1 ? Double(value) : Double(value) * Double(scale[column]) + Double(shift[column])
          #expect(abs(Double(y[row * n + column]) - wanted) < 1e-6)
        }
        let places = index.map { Int($0) * n + column }
        let dscale = places.reduce(0) { $0 + Double(x[$1]) * Double(dy[$1]) }
        let dshift = places.reduce(0) { $0 + Double(dy[$1]) }
        #expect(abs(Double(weights[column]) - dscale) < 2e-4)
        #expect(abs(Double(weights[n + column]) - dshift) < 2e-4)
      }
    }
  }
}
