import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct VectorAdamTests {
    private static let rule = nl_adam_rule(
      gradient_scale: 0.7, folded_decay: 0.01, shrink: 0.999, one_minus_beta1: 0.1, beta2: 0.99,
      one_minus_beta2: 0.01, step_size: 0.03, root_correction: 0.2, eps: 1e-8)

    /// The reference is the formula in scalar Swift, which rounds each operation as the kernel must.
    @Test(arguments: [1, 15, 16, 17, 100, 16_384, 40_000]) func updatesFollowTheFormula(count: Int) {
      var random = SplitMix64(seed: 21)
      let gradient = random.floats(count)
      let start = random.floats(count)
      let mean = random.floats(count)
      let square = random.floats(count).map { $0 * $0 }
      let result = ISASuite.sameBits { pool in
        var (p, m, v) = (start, mean, square)
        withUnsafePointer(to: Self.rule) { rule in
          #expect(nl_adam(pool, count, rule, gradient, &p, &m, &v))
        }
        return p + m + v
      }
      let rule = Self.rule
      var expected = [Float](repeating: 0, count: 3 * count)
      for i in 0..<count {
        let g = gradient[i] * rule.gradient_scale + start[i] * rule.folded_decay
        let m = mean[i] + (g - mean[i]) * rule.one_minus_beta1
        let v = square[i] * rule.beta2 + g * rule.one_minus_beta2 * g
        let denominator = v.squareRoot() / rule.root_correction + rule.eps
        expected[i] = start[i] * rule.shrink - m * rule.step_size / denominator
        expected[count + i] = m
        expected[2 * count + i] = v
      }
      #expect(result == expected)
    }

    /// A parameter that stays as it is, but for one element anywhere.
    @Test func aChangeOfOneBitIsSeen() {
      var rule = Self.rule
      (rule.folded_decay, rule.shrink, rule.step_size) = (0, 1, 0x1p-24)
      for place in [nil, 0, 15, 16, 30, 32] as [Int?] {
        var p = [Float](repeating: 1, count: 33)
        var m = [Float](repeating: 0, count: 33)
        var v = m
        // With v = 0 and eps alone in the denominator, an element moves by 2⁻²⁴·m/eps.
        (rule.eps, rule.one_minus_beta1) = (1, 1)
        rule.one_minus_beta2 = 0
        var gradient = m
        if let place { gradient[place] = 1 / rule.gradient_scale }
        let changed = withUnsafePointer(to: rule) { nl_adam(nil, 33, $0, gradient, &p, &m, &v) }
        #expect(changed == (place != nil))
        #expect(p.count { $0 != 1 } == (place == nil ? 0 : 1))
      }
    }
  }
}
