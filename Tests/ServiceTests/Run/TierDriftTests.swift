import Testing

@testable import Service

/// Σ (x − y)² against the sum written out in f64, for every length around the eight lanes.
@Suite struct TierDriftTests {
  @Test func squaredDistances() {
    for count in 0...33 {
      let x = (0..<count).map { Float($0) * 0.37 - 2 }
      let y = (0..<count).map { Float(($0 * 7) % 5) - 1.25 }
      let expected = zip(x, y).reduce(0.0) { sum, pair in
        sum + (Double(pair.0) - Double(pair.1)) * (Double(pair.0) - Double(pair.1))
      }
      let distance = x.withUnsafeBufferPointer { TierDrift.squaredDistance($0, y) }
      #expect(abs(distance - expected) <= 1e-12 * max(1, expected), "\(count) numbers")
    }
    // 3-4-5, and a difference that f32 would lose.
    let far: [Float] = [3, 4, 0, 0, 0, 0, 0, 0, 16_777_216]
    let start: [Float] = [0, 0, 0, 0, 0, 0, 0, 0, 16_777_216]
    #expect(far.withUnsafeBufferPointer { TierDrift.squaredDistance($0, start) } == 25)
  }
}
