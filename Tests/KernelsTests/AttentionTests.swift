import Foundation
import Kernels
import Testing

extension ISASuite {
  @Suite struct AttentionTests {
    static let cases = [
      AttentionCase([1], heads: 1, keyHeads: 1, dim: 2),
      AttentionCase([130], heads: 14, keyHeads: 2, dim: 64),
      AttentionCase([37, 1, 100], heads: 6, keyHeads: 3, dim: 32),
      AttentionCase([50, 130, 3], heads: 2, keyHeads: 2, dim: 16, window: 17),
      AttentionCase([200], heads: 3, keyHeads: 1, dim: 48, window: 64),
      AttentionCase([5, 70, 1], keys: [80, 200, 65], heads: 4, keyHeads: 2, dim: 128),
      AttentionCase([33], keys: [90], heads: 2, keyHeads: 1, dim: 20, window: 40),
      AttentionCase([70], heads: 3, keyHeads: 1, dim: 256),
      AttentionCase([65, 3], heads: 2, keyHeads: 2, dim: 6),
    ]

    @Test(arguments: cases) func forward(layout: AttentionCase) {
      let inputs = AttentionRun(layout, seed: 30)
      let result = ISASuite.sameBits { pool in
        var run = inputs
        run.forward(pool)
        return run.o + run.rowMax + run.rowSum
      }
      let expected = AttentionReference(
        layout, q: doubles(inputs.q), k: doubles(inputs.k), v: doubles(inputs.v))
      let (count, rows) = (layout.queryCount, layout.queryRows * layout.heads)
      #expect(relativeError(Array(result[..<count]), expected.o) < 8e-7)
      #expect(relativeError(Array(result[count..<count + rows]), expected.rowMax) < 4e-7)
      #expect(relativeError(Array(result[(count + rows)...]), expected.rowSum) < 2e-6)
    }

    @Test(arguments: cases) func backward(layout: AttentionCase) {
      let inputs = AttentionRun(layout, seed: 31, bound: 1.5)
      let result = ISASuite.sameBits { pool in
        var run = inputs
        run.forward(pool)
        run.backward(pool)
        return run.dq + run.dk + run.dv
      }
      let expected = AttentionReference(
        layout, q: doubles(inputs.q), k: doubles(inputs.k), v: doubles(inputs.v),
        gradient: doubles(inputs.gradient))
      let (q, k) = (layout.queryCount, layout.keyCount)
      let isOneKey = layout.keyRows == 1  // then dq and dk are zero, and what is left is rounding
      #expect(isOneKey || relativeError(Array(result[..<q]), expected.dq) < 8e-7)
      #expect(isOneKey || relativeError(Array(result[q..<q + k]), expected.dk) < 8e-7)
      #expect(relativeError(Array(result[(q + k)...]), expected.dv) < 8e-7)
      if isOneKey { #expect(result[..<(q + k)].allSatisfy { abs($0) < 1e-6 }) }
    }

    /// The formulas of the reference's backward pass are the derivative of its forward pass.
    @Test func referenceAgreesWithFiniteDifferences() {
      let layout = AttentionCase([3, 2], keys: [3, 4], heads: 4, keyHeads: 2, dim: 2, window: 3)
      let inputs = AttentionRun(layout, seed: 32)
      let (q, k, v, g) = (doubles(inputs.q), doubles(inputs.k), doubles(inputs.v), doubles(inputs.gradient))
      let analytic = AttentionReference(layout, q: q, k: k, v: v, gradient: g)
      let dq = finiteDifferences(at: q) { dot(AttentionReference(layout, q: $0, k: k, v: v).o, g) }
      let dk = finiteDifferences(at: k) { dot(AttentionReference(layout, q: q, k: $0, v: v).o, g) }
      let dv = finiteDifferences(at: v) { dot(AttentionReference(layout, q: q, k: k, v: $0).o, g) }
      for (a, b) in zip(analytic.dq + analytic.dk + analytic.dv, dq + dk + dv) { #expect(abs(a - b) < 1e-8) }
    }

    /// A sequence gives the same bits alone and among others, in both directions.
    @Test func sequencesDoNotDependOnTheirNeighbours() {
      var together = AttentionRun(AttentionCase([90, 20, 130], heads: 4, keyHeads: 2, dim: 32), seed: 33)
      together.forward()
      together.backward()
      var alone = AttentionRun(AttentionCase([20], heads: 4, keyHeads: 2, dim: 32), seed: 0)
      let (q, k) = (90 * 128..<110 * 128, 90 * 64..<110 * 64)
      alone.q = Array(together.q[q])
      alone.gradient = Array(together.gradient[q])
      alone.k = Array(together.k[k])
      alone.v = Array(together.v[k])
      alone.forward()
      alone.backward()
      #expect(alone.o == Array(together.o[q]) && alone.dq == Array(together.dq[q]))
      #expect(alone.dk == Array(together.dk[k]) && alone.dv == Array(together.dv[k]))
    }

    /// With a cache of keys, the last queries alone give the bits that they have in the whole sequence.
    @Test(arguments: [0, 50]) func fewerQueriesThanKeysGiveTheSameRows(window: Int) {
      let (length, width) = (150, 6 * 40)
      var whole = AttentionRun(
        AttentionCase([length], heads: 6, keyHeads: 3, dim: 40, window: window), seed: 34)
      whole.forward()
      for count in [1, 2, 9, 64, 149] {
        let layout = AttentionCase([count], keys: [length], heads: 6, keyHeads: 3, dim: 40, window: window)
        var last = AttentionRun(layout, seed: 0)
        last.q = Array(whole.q[((length - count) * width)...])
        last.k = whole.k
        last.v = whole.v
        last.forward()
        #expect(last.o == Array(whole.o[((length - count) * width)...]), "\(count) queries")
        #expect(last.rowSum == Array(whole.rowSum[((length - count) * 6)...]))
      }
      // And an early row in a sequence that ends there.
      let short = AttentionCase([70], heads: 6, keyHeads: 3, dim: 40, window: window)
      var first = AttentionRun(short, seed: 0)
      first.q = Array(whole.q[..<(70 * width)])
      first.k = Array(whole.k[..<(70 * 120)])
      first.v = Array(whole.v[..<(70 * 120)])
      first.forward()
      #expect(first.o == Array(whole.o[..<(70 * width)]))
    }

    /// Heads that share a key head give what they would give with key heads of their own.
    @Test func groupedHeadsAreRepeatedKeyHeads() {
      let dim = 24
      var grouped = AttentionRun(AttentionCase([75], heads: 6, keyHeads: 2, dim: dim), seed: 35)
      grouped.forward()
      var repeated = AttentionRun(AttentionCase([75], heads: 6, keyHeads: 6, dim: dim), seed: 0)
      func spread(_ x: [Float]) -> [Float] {
        (0..<75 * 6).flatMap { i -> ArraySlice<Float> in
          let start = (i / 6 * 2 + i % 6 / 3) * dim
          return x[start..<start + dim]
        }
      }
      repeated.q = grouped.q
      repeated.k = spread(grouped.k)
      repeated.v = spread(grouped.v)
      repeated.forward()
      #expect(repeated.o == grouped.o)
    }

    @Test func largeScoresDenormalsAndBrokenNumbers() {
      let layout = AttentionCase([40], heads: 1, keyHeads: 1, dim: 4)
      // Scores up to 10⁶: one key takes all, and nothing overflows.
      var large = AttentionRun(layout, seed: 36, bound: 1000)
      large.forward()
      large.backward()
      let expected = AttentionReference(layout, q: doubles(large.q), k: doubles(large.k), v: doubles(large.v))
      #expect(relativeError(large.o, expected.o) < 1e-6)
      let gradients = large.dq + large.dk + large.dv
      #expect(gradients.allSatisfy { $0.isFinite })
      // Equal scores and values that are denormal: their mean, not zero.
      var tiny = AttentionRun(layout, seed: 0)
      tiny.q = .init(repeating: 0, count: layout.queryCount)
      tiny.v = .init(repeating: 0x1p-140, count: layout.keyCount)
      tiny.forward()
      #expect(tiny.o.allSatisfy { abs($0 - 0x1p-140) <= 2 * Float.leastNonzeroMagnitude })
      // A query that is not a number spoils its own row alone.
      var broken = AttentionRun(layout, seed: 37)
      var sound = broken
      sound.forward()
      broken.q[20 * 4] = .nan
      broken.forward()
      #expect(broken.o[80..<84].allSatisfy { $0.isNaN })
      #expect(
        Array(broken.o[..<80]) == Array(sound.o[..<80]) && Array(broken.o[84...]) == Array(sound.o[84...]))
    }

    @Test func worksWithoutKeptStatistics() {
      var run = AttentionRun(AttentionCase([30], heads: 2, keyHeads: 1, dim: 8), seed: 38)
      run.forward()
      var o = run.q
      run.layout.withShape { nl_attention_forward(nil, $0, run.q, run.k, run.v, &o, nil, nil) }
      #expect(o == run.o)
    }
  }
}
