/// What `lr_schedule: plateau` has come to: the base rate falls when evaluations no longer get better, as in PyTorch's
/// `ReduceLROnPlateau` with mode min, threshold 1e-4 (relative) and no cooldown.
public struct PlateauState: Sendable, Equatable {
  /// The base rate in force.
  public private(set) var rate: Double
  /// The lowest loss so far; nil before the first evaluation.
  public private(set) var best: Double?
  /// Evaluations in a row that were not better.
  public private(set) var withoutGain: Int

  static let threshold = 1e-4
  /// Where `lr_end` names no lowest rate.
  static let minimum = 1e-7
  /// A fall by less is none.
  static let smallestFall = 1e-8

  public init(rate: Double, best: Double? = nil, withoutGain: Int = 0) {
    (self.rate, self.best, self.withoutGain) = (rate, best, withoutGain)
  }

  /// Takes an evaluation: a loss below best·(1 − 1e-4) is better; after more than `plateau_patience` others in a row the
  /// rate is max(rate·`plateau_factor`, minimum), the minimum being `lr_end`, or 1e-7 where that is 0.
  ///
  /// - Returns: whether the rate fell.
  public mutating func evaluated(loss: Double, _ config: NestedLearningConfig) -> Bool {
    if best.map({ loss < $0 * (1 - Self.threshold) }) ?? true {
      (best, withoutGain) = (loss, 0)
    } else {
      withoutGain += 1
    }
    guard withoutGain > config.plateauPatience else { return false }
    withoutGain = 0
    let lower = max(rate * config.plateauFactor, config.lrEnd > 0 ? config.lrEnd : Self.minimum)
    guard rate - lower > Self.smallestFall else { return false }
    rate = lower
    return true
  }
}
