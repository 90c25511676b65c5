import Foundation
import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct VectorNormTests {
    static let eps = 1e-6
    static let shapes = [(1, 1), (2, 16), (5, 63), (3, 64), (4, 65), (7, 200), (300, 96)]

    /// y = w·x/√(mean(x²) + ε), in Double.
    static func reference(_ x: [Double], _ w: [Double], rows: Int) -> [Double] {
      let n = w.count
      return (0..<rows).flatMap { row -> [Double] in
        let values = x[row * n..<(row + 1) * n]
        let rstd = 1 / (values.reduce(0) { $0 + $1 * $1 } / Double(n) + eps).squareRoot()
        return zip(values, w).map { $0 * rstd * $1 }
      }
    }

    @Test(arguments: shapes) func forward(rows: Int, n: Int) {
      var random = SplitMix64(seed: 6)
      let x = random.floats(rows * n)
      let w = random.floats(n)
      let result = ISASuite.sameBits { pool in
        var y = [Float](repeating: .nan, count: rows * n)
        var rstd = [Float](repeating: .nan, count: rows)
        nl_rmsnorm_forward(pool, rows, n, Float(Self.eps), x, w, &y, &rstd)
        return y + rstd
      }
      let expected = Self.reference(doubles(x), doubles(w), rows: rows)
      #expect(relativeError(Array(result[..<(rows * n)]), expected) < 1.5e-7)
      let rstd = (0..<rows).map { row in
        1
          / (dot(doubles(x), doubles(x).enumerated().map { $0 / n == row ? $1 : 0 }) / Double(n) + Self.eps)
          .squareRoot()
      }
      #expect(relativeError(Array(result[(rows * n)...]), rstd) < 1.5e-7)
    }

    @Test func inPlaceAndWithoutKeptStatistics() {
      var random = SplitMix64(seed: 7)
      let x = random.floats(3 * 70)
      let w = random.floats(70)
      var y = x
      y.withUnsafeMutableBufferPointer {
        nl_rmsnorm_forward(nil, 3, 70, Float(Self.eps), $0.baseAddress, w, $0.baseAddress, nil)
      }
      #expect(relativeError(y, Self.reference(doubles(x), doubles(w), rows: 3)) < 1.5e-7)
    }

    /// y = w·x/√(x² + ε), so dx = dy·w·ε/(x² + ε)^(3/2): the difference of two terms of size dy·w/√(x² + ε), each of which
    /// is rounded, of which little but the rounding is left unless x² is near ε. dw = dy·x/√(x² + ε).
    @Test(arguments: [(Float(1.5), 1e-6), (-0.75, 1e-6), (0.001, 1e-6), (0.8, 1.0), (-0.3, 0.25)])
    func backwardOfOneColumn(x: Float, eps: Double) {
      let (w, dy): (Float, Float) = (1.25, -0.7)
      let result = ISASuite.sameBits { pool in
        var (y, rstd, dx, dw): ([Float], [Float], [Float], [Float]) = ([0], [0], [.nan], [0])
        nl_rmsnorm_forward(pool, 1, 1, Float(eps), [x], [w], &y, &rstd)
        nl_rmsnorm_backward(pool, 1, 1, [x], [w], rstd, [dy], &dx, false, &dw)
        return dx + dw
      }
      let epsilon = Double(Float(eps))
      let rstd = 1 / (Double(x) * Double(x) + epsilon).squareRoot()
      let term: Double = Double(dy) * Double(w) * rstd
      let weightGradient: Double = Double(dy) * Double(x) * rstd
      let unit = 0x1p-24
      #expect(abs(Double(result[0]) - term * epsilon * rstd * rstd) <= 12 * unit * abs(term))
      #expect(abs(Double(result[1]) - weightGradient) <= 6 * unit * abs(weightGradient))
    }

    @Test(arguments: [(2, 16), (3, 33), (2, 65), (4, 100)]) func backward(rows: Int, n: Int) {
      var random = SplitMix64(seed: 8)
      let x = random.floats(rows * n)
      let w = random.floats(n)
      let dy = random.floats(rows * n)
      let before = random.floats(n)
      let result = ISASuite.sameBits { pool in
        var y = x
        var rstd = [Float](repeating: 0, count: rows)
        nl_rmsnorm_forward(pool, rows, n, Float(Self.eps), x, w, &y, &rstd)
        var dx = [Float](repeating: .nan, count: rows * n)
        var dw = before
        nl_rmsnorm_backward(pool, rows, n, x, w, rstd, dy, &dx, false, &dw)
        return dx + dw
      }
      let dx = finiteDifferences(at: doubles(x)) {
        dot(Self.reference($0, doubles(w), rows: rows), doubles(dy))
      }
      let dw = finiteDifferences(at: doubles(w)) {
        dot(Self.reference(doubles(x), $0, rows: rows), doubles(dy))
      }
      #expect(relativeError(Array(result[..<(rows * n)]), dx) < 4e-7)
      #expect(relativeError(Array(result[(rows * n)...]), zip(dw, before).map { $0 + Double($1) }) < 2e-7)
    }

    @Test func backwardAccumulates() {
      var random = SplitMix64(seed: 9)
      let (rows, n) = (3, 50)
      let x = random.floats(rows * n)
      let w = random.floats(n)
      let dy = random.floats(rows * n)
      let rstd = random.floats(rows)
      let before = random.floats(rows * n)
      var fresh = before
      nl_rmsnorm_backward(nil, rows, n, x, w, rstd, dy, &fresh, false, nil)
      var added = before
      nl_rmsnorm_backward(nil, rows, n, x, w, rstd, dy, &added, true, nil)
      #expect(added == zip(fresh, before).map(+))
    }

    // Kernels.h: dw is a chain per block of 256 rows; so two blocks are the sum of the two alone.
    @Test func weightGradientAddsBlocksOf256Rows() {
      var random = SplitMix64(seed: 10)
      let n = 20
      let x = random.floats(300 * n)
      let dy = random.floats(300 * n)
      let rstd = random.floats(300)
      let w = random.floats(n)
      var dx = x
      var whole = [Float](repeating: 0, count: n)
      nl_rmsnorm_backward(nil, 300, n, x, w, rstd, dy, &dx, false, &whole)
      var parts = [Float](repeating: 0, count: n)
      nl_rmsnorm_backward(nil, 256, n, x, w, rstd, dy, &dx, false, &parts)
      nl_rmsnorm_backward(
        nil, 44, n, Array(x[(256 * n)...]), w, Array(rstd[256...]), Array(dy[(256 * n)...]), &dx, false,
        &parts)
      #expect(whole == parts)
    }

    @Test func extremeRows() {
      // A row of zeros gives zeros; one whose squares overflow gives rstd 0; denormals are not flushed.
      let rows: [[Float]] = [[0, 0], [3e38, 3e38], [0x1p-130, -0x1p-130], [.nan, 1], [.infinity, 1]]
      let result = ISASuite.sameBits { pool in
        var y = [Float](repeating: 0, count: 10)
        nl_rmsnorm_forward(pool, 5, 2, 1e-6, rows.flatMap { $0 }, [1, 2], &y, nil)
        return y.map { $0.isNaN ? -1 : $0 }
      }
      #expect(Array(result[0..<4]) == [0, 0, 0, 0])
      #expect(result[4] > 0 && relativeError(Array(result[4..<6]), [0x1p-130 * 1e3, -0x1p-129 * 1e3]) < 1e-4)
      #expect(Array(result[6...]) == [-1, -1, -1, 0])
    }
  }
}
