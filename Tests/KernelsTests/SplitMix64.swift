import Harness

extension SplitMix64 {
  mutating func uniform(_ low: Double, _ high: Double) -> Double {
    low + (high - low) * Double(next() >> 11) * 0x1p-53
  }

  /// Floats in [−bound, bound].
  mutating func floats(_ count: Int, bound: Double = 2) -> [Float] {
    (0..<count).map { _ in Float(uniform(-bound, bound)) }
  }
}
