import Foundation
import Harness
import Kernels
import Testing

extension ISASuite {
  /// GELU and the squared error against Double (`erf` of the C library), the same bits on every instruction set.
  @Suite struct GELUTests {
    private let values: [Float] = {
      var random = SplitMix64(seed: 21)
      return (0..<1003).map { _ in Float.random(in: -8...8, using: &random) }
        + [0, -0.0, 1e-30, -1e-30, 40, -40, 3e38, -3e38]
    }()

    @Test func againstDouble() {
      var bits: [[UInt32]] = []
      ISASuite.inEach { _ in
        var y = [Float](repeating: 0, count: values.count)
        var dx = y
        let dy = [Float](repeating: 1, count: values.count)
        nl_gelu_forward(nil, values.count, values, &y)
        nl_gelu_backward(nil, values.count, values, dy, &dx)
        for (place, value) in values.enumerated() {
          let x = Double(value)
          let phi = 0.5 * (1 + erf(x / 2.0.squareRoot()))
          let slope = phi + x * exp(-x * x / 2) / (2 * Double.pi).squareRoot()
          #expect(abs(Double(y[place]) - x * phi) <= 3e-7 * max(1, abs(x)), "\(value)")
          #expect(abs(Double(dx[place]) - slope) <= 5e-7, "\(value)")
        }
        bits.append((y + dx).map(\.bitPattern))
      }
      #expect(Set(bits).count == 1)
    }

    @Test(arguments: [(1, 1), (3, 24), (5, 100), (7, 768)]) func squaredError(rows: Int, n: Int) {
      var random = SplitMix64(seed: UInt64(n))
      let y = (0..<rows * n).map { _ in Float.random(in: -2...2, using: &random) }
      let target = (0..<rows * n).map { _ in Float.random(in: -2...2, using: &random) }
      var bits: [[UInt64]] = []
      ISASuite.inEach { _ in
        var (loss, gradient) = ([Double](repeating: 0, count: rows), [Float](repeating: 0, count: rows * n))
        nl_squared_error(nil, rows, n, y, target, &loss, &gradient)
        for row in 0..<rows {
          let errors = (row * n..<(row + 1) * n).map { Double(y[$0]) - Double(target[$0]) }
          #expect(abs(loss[row] - errors.reduce(0) { $0 + $1 * $1 } / Double(n)) < 1e-6 * (1 + loss[row]))
          for (place, error) in errors.enumerated() {
            #expect(abs(Double(gradient[row * n + place]) - 2 * error / Double(n)) < 1e-6)
          }
        }
        bits.append(loss.map(\.bitPattern) + gradient.map { UInt64($0.bitPattern) })
      }
      #expect(Set(bits).count == 1)
    }
  }
}
