import Harness
import Kernels
import Testing

extension ISASuite {
  /// Embedding, gather and scatter: copies and sums in a stated order, so the expected bits are exact.
  @Suite struct VectorRowsTests {
    @Test(arguments: [1, 16, 30, 896]) func embeddingLooksUpEachStoredType(n: Int) {
      var random = SplitMix64(seed: 14)
      let table = random.floats(11 * n)
      let stored = table.map { UInt16($0.bitPattern >> 16) }
      let ids: [Int32] = [10, 0, 3, 3, 7]
      let rows = ISASuite.sameBits { pool in
        var y = [Float](repeating: .nan, count: ids.count * n)
        nl_embedding_forward(pool, ids.count, n, ids, table, NL_F32, &y)
        return y
      }
      #expect(rows == ids.flatMap { table[Int($0) * n..<(Int($0) + 1) * n] })
      let widened = ISASuite.sameBits { pool in
        var y = [Float](repeating: .nan, count: ids.count * n)
        nl_embedding_forward(pool, ids.count, n, ids, stored, NL_BF16, &y)
        return y
      }
      let values = stored.map { Float(bitPattern: UInt32($0) << 16) }
      #expect(widened == ids.flatMap { values[Int($0) * n..<(Int($0) + 1) * n] })
      let halves = table.map { Float16($0) }
      let ofHalves = ISASuite.sameBits { pool in
        var y = [Float](repeating: .nan, count: ids.count * n)
        nl_embedding_forward(pool, ids.count, n, ids, halves.map(\.bitPattern), NL_F16, &y)
        return y
      }
      #expect(ofHalves == ids.flatMap { halves[Int($0) * n..<(Int($0) + 1) * n].map(Float.init) })
    }

    @Test(arguments: [1, 16, 30, 300]) func embeddingGradientAddsRepeatsInOrder(n: Int) {
      var random = SplitMix64(seed: 15)
      let ids = (0..<200).map { _ in Int32.random(in: 0..<5, using: &random) }
      let dy = random.floats(ids.count * n)
      let before = random.floats(6 * n)
      let table = ISASuite.sameBits { pool in
        var table = before
        nl_embedding_backward(pool, ids.count, n, ids, dy, &table)
        return table
      }
      var expected = before
      for (row, id) in ids.enumerated() {
        for i in 0..<n { expected[Int(id) * n + i] += dy[row * n + i] }
      }
      #expect(table == expected)
    }

    @Test func gatherAndScatter() {
      var random = SplitMix64(seed: 16)
      let n = 37
      let index: [Int32] = [0, 2, 5, 6]
      let x = random.floats(8 * n)
      let rows = ISASuite.sameBits { pool in
        var y = [Float](repeating: .nan, count: index.count * n)
        nl_gather_rows(pool, index.count, n, index, x, &y)
        return y
      }
      #expect(rows == index.flatMap { x[Int($0) * n..<(Int($0) + 1) * n] })
      let dy = random.floats(index.count * n)
      let sum = ISASuite.sameBits { pool in
        var dx = x
        nl_scatter_add_rows(pool, index.count, n, index, dy, &dx)
        return dx
      }
      var expected = x
      for (row, i) in index.enumerated() { for j in 0..<n { expected[Int(i) * n + j] += dy[row * n + j] } }
      #expect(sum == expected)
    }
  }
}
