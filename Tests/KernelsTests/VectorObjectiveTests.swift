import Foundation
import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct VectorObjectiveTests {
    private static func softmax(_ x: [Double]) -> [Double] {
      let largest = x.max() ?? 0
      let powers = x.map { exp($0 - largest) }
      let sum = powers.reduce(0, +)
      return powers.map { $0 / sum }
    }

    /// The formulas of the header, in Double.
    private static func reference(
      _ z: [Double], _ b: [Double]?, label: Int, hard: Double, soft: Double, byEntropy: Bool
    ) -> (loss: Double, soft: Double, divergence: Double, weight: Double, gradient: [Double]) {
      let p = softmax(z)
      let base = b.map(softmax)
      let shared = base?.indices ?? 0..<0
      let cross = shared.reduce(0.0) { $0 - (base?[$1] ?? 0) * log(p[$1]) }
      let divergence = shared.reduce(0.0) { $0 + (base?[$1] ?? 0) * log((base?[$1] ?? 1) / p[$1]) }
      var weight = 1.0
      if byEntropy {
        let top = softmax(Array(z.sorted(by: >).prefix(20)))
        weight = -top.reduce(0.0) { $0 + ($1 > 0 ? $1 * log($1) : 0) } / log(20)
      }
      let gradient = z.indices.map { i in
        (hard * weight + soft) * p[i] - (i == label ? hard * weight : 0)
          - (shared.contains(i) ? soft * (base?[i] ?? 0) : 0)
      }
      return (-log(p[label]), cross, divergence, weight, gradient)
    }

    /// Rows of every kind beside each other, also with a base of fewer tokens, over the vocabulary's block of 4,096.
    @Test(arguments: [(5, 3, 3), (6, 64, 61), (9, 517, 500), (4, 5000, 5000), (3, 9001, 8999)])
    func againstDouble(rows: Int, n: Int, baseCount: Int) {
      var random = SplitMix64(seed: 23)
      let logits = random.floats(rows * n, bound: 6)
      let base = random.floats(rows * baseCount, bound: 6)
      var wanted: [nl_token_objective] = []
      var bases: Int32 = 0
      for row in 0..<rows {
        let hasBase = row % 3 != 0
        wanted.append(
          nl_token_objective(
            label: Int32((row * 7919) % n), base: hasBase ? bases : -1, hard: row % 3 == 1 ? 0 : 1,
            soft: hasBase ? 0.25 + Float(row % 2) : 0, by_entropy: row % 2 == 0))
        if hasBase { bases += 1 }
      }
      var first: [nl_token_outcome] = []
      let gradient = ISASuite.sameBits { pool in
        var z = logits
        var b = base
        var gaps = [Float](repeating: .nan, count: rows * baseCount)
        var outcomes = [nl_token_outcome](repeating: nl_token_outcome(), count: rows)
        nl_objective(pool, rows, n, &z, baseCount, &b, &gaps, wanted, &outcomes, true)
        if first.isEmpty { first = outcomes }
        for (a, b) in zip(outcomes, first) {
          #expect(a.loss == b.loss && a.soft_loss == b.soft_loss && a.divergence == b.divergence)
          #expect(a.weight == b.weight)
        }
        return z
      }
      for row in 0..<rows {
        let z = doubles(Array(logits[row * n..<(row + 1) * n]))
        let place = Int(wanted[row].base)
        let b = place < 0 ? nil : doubles(Array(base[place * baseCount..<(place + 1) * baseCount]))
        let expected = Self.reference(
          z, b, label: Int(wanted[row].label), hard: Double(wanted[row].hard), soft: Double(wanted[row].soft),
          byEntropy: wanted[row].by_entropy)
        let outcome = first[row]
        #expect(abs(outcome.loss - expected.loss) < 1e-6 * (1 + expected.loss))
        #expect(abs(outcome.soft_loss - expected.soft) < 2e-6 * (1 + expected.soft))
        #expect(abs(outcome.divergence - expected.divergence) < 2e-6 * (1 + expected.divergence))
        #expect(abs(Double(outcome.weight) - expected.weight) < 1e-6)
        #expect(
          relativeError(Array(gradient[row * n..<(row + 1) * n]), expected.gradient) < 2e-6, "row \(row)")
      }
    }

    /// Factors of 1 and 0 are the plain cross entropy, to the bit.
    @Test func plainIsCrossEntropy() {
      var random = SplitMix64(seed: 24)
      let logits = random.floats(7 * 5003, bound: 8)
      let labels = (0..<7).map { Int32(($0 * 7919) % 5003) }
      var x = logits
      var losses = [Double](repeating: 0, count: 7)
      nl_cross_entropy(nil, 7, 5003, &x, labels, &losses, true)
      var y = logits
      var outcomes = [nl_token_outcome](repeating: nl_token_outcome(), count: 7)
      let wanted = labels.map { nl_token_objective(label: $0, base: -1, hard: 1, soft: 0, by_entropy: false) }
      nl_objective(nil, 7, 5003, &y, 0, nil, nil, wanted, &outcomes, true)
      #expect(x == y && losses == outcomes.map(\.loss))
    }

    /// One that is sure weighs nothing, one that knows nothing weighs 1.
    @Test func entropy() {
      var sure = [Float](repeating: 0, count: 100)
      sure[7] = 200
      let unsure = [Float](repeating: 0.5, count: 100)
      for (logits, weight) in [(sure, Float(0)), (unsure, 1)] {
        var z = logits
        var outcome = nl_token_outcome()
        let wanted = nl_token_objective(label: 3, base: -1, hard: 1, soft: 0, by_entropy: true)
        nl_objective(nil, 1, 100, &z, 0, nil, nil, [wanted], &outcome, false)
        #expect(abs(outcome.weight - weight) < 1e-6)
      }
    }
  }
}
