import Testing

@testable import Service

@Suite struct SingularValuesTests {
  /// Σ σ² is the squared norm of the product, and Σ σ⁴ that of its Gram matrix: both from the product itself.
  @Test func momentsAreThoseOfTheProduct() {
    var random = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: 0...UInt64.max, using: &random)
    print("seed \(seed)")
    var state = seed | 1
    func next() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 33) / Double(1 << 30) - 1
    }
    for (height, width, rank) in [(9, 7, 3), (3, 8, 5), (1, 1, 1), (6, 2, 6), (12, 12, 12)] {
      let left = (0..<rank).map { _ in (0..<height).map { _ in next() } }
      let right = (0..<rank).map { _ in (0..<width).map { _ in next() } }
      let product = (0..<height).map { i in
        (0..<width).map { j in (0..<rank).reduce(0.0) { $0 + left[$1][i] * right[$1][j] } }
      }
      let gram = (0..<height).map { i in
        (0..<height).map { k in (0..<width).reduce(0.0) { $0 + product[i][$1] * product[k][$1] } }
      }
      let values = SingularValues.ofProduct(left: left, right: right)
      #expect(values.count == min(height, width, rank) && values == values.sorted(by: >))
      let second = product.joined().reduce(0) { $0 + $1 * $1 }
      let fourth = gram.joined().reduce(0) { $0 + $1 * $1 }
      #expect(abs(values.reduce(0) { $0 + $1 * $1 } - second) <= 1e-12 * second)
      #expect(abs(values.reduce(0) { $0 + $1 * $1 * $1 * $1 } - fourth) <= 1e-12 * fourth)
    }
  }

  /// Columns that are multiples of each other, or zero, have no values of their own.
  @Test func lesserRanksAreFound() {
    let values = SingularValues.ofProduct(
      left: [[1, 2, 2], [2, 4, 4], [0, 0, 0]], right: [[3, 4], [0, 0], [1, 1]])
    #expect(values.count == 2 && abs(values[0] - 15) < 1e-12 && values[1] < 1e-12)
    #expect(SingularValues.ofProduct(left: [[0, 0]], right: [[0, 0]]) == [0])
    #expect(WeightComparison.effectiveRank([0, 0]) == nil)
    #expect(abs((WeightComparison.effectiveRank([2, 2, 2, 0]) ?? 0) - 3) < 1e-12)
  }
}
