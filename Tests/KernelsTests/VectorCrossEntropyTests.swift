import Foundation
import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct VectorCrossEntropyTests {
    /// log Σ e^x − x[label] and its gradient, in Double.
    static func reference(_ x: [Double], label: Int) -> (loss: Double, gradient: [Double]) {
      let largest = x.max() ?? 0
      let sum = x.reduce(0) { $0 + exp($1 - largest) }
      let gradient = x.indices.map { exp(x[$0] - largest) / sum - ($0 == label ? 1 : 0) }
      return (largest + log(sum) - x[label], gradient)
    }

    @Test(arguments: [(1, 1), (3, 2), (5, 64), (7, 65), (3, 5000), (2, 40_003)])
    func lossAndGradient(rows: Int, n: Int) {
      var random = SplitMix64(seed: 17)
      let logits = random.floats(rows * n, bound: 10)
      let labels = (0..<rows).map { Int32(($0 * 7919) % n) }
      var losses: [Double] = []
      let gradient = ISASuite.sameBits { pool in
        var x = logits
        var loss = [Double](repeating: .nan, count: rows)
        nl_cross_entropy(pool, rows, n, &x, labels, &loss, true)
        if losses.isEmpty { losses = loss }
        #expect(losses == loss)
        var again = logits
        nl_cross_entropy(pool, rows, n, &again, labels, &loss, false)
        #expect(losses == loss, "the loss does not depend on whether the gradient is wanted")
        return x
      }
      for row in 0..<rows {
        let x = doubles(Array(logits[row * n..<(row + 1) * n]))
        let expected = Self.reference(x, label: Int(labels[row]))
        let largest = x.max() ?? 0
        #expect(abs(losses[row] - expected.loss) < 1e-7 * (1 + expected.loss))
        for i in 0..<n {
          // Roundings of e^x, of x − max before it, and for the label of p − 1 after it.
          let isLabel = i == Int(labels[row])
          let probability = expected.gradient[i] + (isLabel ? 1 : 0)
          let allowed = probability * (4e-7 + 6e-8 * (largest - x[i])) + (isLabel ? 6e-8 : 0)
          #expect(
            abs(Double(gradient[row * n + i]) - expected.gradient[i]) <= allowed, "row \(row), element \(i)")
        }
      }
    }

    @Test func theGradientIsThatOfTheLoss() {
      var random = SplitMix64(seed: 18)
      let logits = random.floats(30)
      var x = logits
      var loss = [0.0]
      nl_cross_entropy(nil, 1, 30, &x, [4], &loss, true)
      let expected = finiteDifferences(at: doubles(logits)) { Self.reference($0, label: 4).loss }
      #expect(relativeError(x, expected) < 1e-7)
    }

    @Test func largeMaskedAndBrokenLogits() {
      var large: [Float] = [1e30, -1e30, 3e38, .leastNonzeroMagnitude]
      var loss = [0.0]
      nl_cross_entropy(nil, 1, 4, &large, [2], &loss, true)
      #expect(loss == [0] && large == [0, 0, 0, 0])
      var masked: [Float] = [1, -.infinity, 1]
      nl_cross_entropy(nil, 1, 3, &masked, [0], &loss, true)
      #expect(abs(loss[0] - log(2)) < 1e-15 && masked == [-0.5, 0, 0.5])
      for broken in [Float.nan, .infinity] {
        var x: [Float] = [1, broken, 2]
        nl_cross_entropy(nil, 1, 3, &x, [0], &loss, true)
        #expect(loss[0].isNaN && x[1].isNaN, "never silently a number")
      }
    }
  }
}
