/// The threshold rises from `initial` to `final` over a number of steps after a warm-up, on a line, and never leaves these
/// two.
public struct ProgressiveDifficulty: CurriculumStrategy, Equatable {
  public let initial: Double
  public let final: Double
  /// Over which it rises.
  public let steps: Int
  /// Before that; the threshold is `initial` meanwhile.
  public let warmup: Int

  /// - Throws: `CurriculumError` unless 0 ≤ initial ≤ final ≤ 1.
  public init(initial: Double, final: Double = 1, steps: Int, warmup: Int = 0) throws(CurriculumError) {
    try CurriculumError.check(initial: initial, final: final)
    self.initial = initial
    self.final = final
    self.steps = max(1, steps)
    self.warmup = max(0, warmup)
  }

  public func threshold(at step: Int) -> Double {
    let done = Double(step - warmup) / Double(steps)
    return min(final, max(initial, initial + (final - initial) * done))
  }
}
