import Foundation
import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct VectorSwiGLUTests {
    /// g/(1 + e^−g)·u
    static func reference(_ gate: Double, _ up: Double) -> Double { gate / (1 + exp(-gate)) * up }

    @Test(arguments: [1, 16, 31, 1000, 50_000]) func forward(count: Int) {
      var random = SplitMix64(seed: 11)
      let gate = random.floats(count, bound: 12)
      let up = random.floats(count)
      let y = ISASuite.sameBits { pool in
        var y = [Float](repeating: .nan, count: count)
        nl_swiglu_forward(pool, count, gate, up, &y)
        return y
      }
      for i in 0..<count {
        let expected = Self.reference(Double(gate[i]), Double(up[i]))
        #expect(abs(Double(y[i]) - expected) <= 4e-7 * abs(expected), "gate \(gate[i])")
      }
    }

    @Test(arguments: [1, 17, 300]) func backward(count: Int) {
      var random = SplitMix64(seed: 12)
      let gate = random.floats(count, bound: 6)
      let up = random.floats(count)
      let dy = random.floats(count)
      let result = ISASuite.sameBits { pool in
        var dgate = gate
        var dup = up
        nl_swiglu_backward(pool, count, gate, up, dy, &dgate, &dup, nil)
        return dgate + dup
      }
      let h = 1e-5
      let dgate = (0..<count).map { i -> Double in
        let g = Double(gate[i])
        return (Self.reference(g + h, Double(up[i])) - Self.reference(g - h, Double(up[i]))) / (2 * h)
          * Double(dy[i])
      }
      let dup = (0..<count).map { Self.reference(Double(gate[$0]), 1) * Double(dy[$0]) }
      #expect(relativeError(Array(result[..<count]), dgate) < 3e-7)
      #expect(relativeError(Array(result[count...]), dup) < 2e-7)
    }

    /// The output that the backward pass gives once more has the bits of the forward pass, in the place of dy too.
    @Test(arguments: [1, 17, 40_000]) func backwardGivesTheOutputAgain(count: Int) {
      var random = SplitMix64(seed: 13)
      let gate = random.floats(count, bound: 12)
      let up = random.floats(count)
      let dy = random.floats(count)
      let result = ISASuite.sameBits { pool in
        var (dgate, dup, y) = (gate, up, dy)
        y.withUnsafeMutableBufferPointer {
          nl_swiglu_backward(pool, count, gate, up, $0.baseAddress, &dgate, &dup, $0.baseAddress)
        }
        return dgate + dup + y
      }
      var (forward, dgate, dup) = (gate, gate, up)
      nl_swiglu_forward(nil, count, gate, up, &forward)
      nl_swiglu_backward(nil, count, gate, up, dy, &dgate, &dup, nil)
      #expect(result == dgate + dup + forward)
    }

    /// silu(x)·1 exposes e^−x: over all sizes of x it stays within a few units in the last place.
    @Test func exponentialOverItsWholeRange() {
      let count = 40_000
      let gate = (0..<count).map { Float(-104 + 208 * Double($0) / Double(count)) }
      let y = ISASuite.sameBits { pool in
        var y = gate
        nl_swiglu_forward(pool, count, gate, [Float](repeating: 1, count: count), &y)
        return y
      }
      for (x, value) in zip(gate, y) {
        let expected = Self.reference(Double(x), 1)
        // Above 88.7 e^−x is larger than the largest float: the result is 0, and 88·e^−88 is 5e-37.
        let allowed = x < -88.7 ? 6e-37 : 4e-7 * abs(expected)
        #expect(abs(Double(value) - expected) <= allowed, "\(x): \(value)")
      }
    }

    @Test func limits() {
      let gate: [Float] = [200, -200, .infinity, .nan, 0x1p-130, 0]
      let y = ISASuite.sameBits { pool in
        var y = gate
        nl_swiglu_forward(pool, 6, gate, [1, 1, 1, 1, 1, 1], &y)
        return y.map { $0.isNaN ? -1 : $0 }
      }
      #expect(y == [200, 0, .infinity, -1, 0x1p-131, 0])
    }
  }
}
