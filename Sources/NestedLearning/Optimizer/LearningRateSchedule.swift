import Kernels

/// The learning rate of each step.
public struct LearningRateSchedule: Sendable {
  private let kind: LearningRateScheduleKind
  private let base: Double
  private let end: Double
  private let power: Double
  private let warmupSteps: Int
  private let stepCount: Int

  /// Of `slanted_triangular`, as Howard & Ruder 2018 have them: the share of the steps over which the rate rises, and
  /// how many times the lowest rate the highest one is.
  static let slantedCut = 0.1
  static let slantedRatio = 32.0

  public init(config: NestedLearningConfig) {
    kind = config.lrSchedule
    base = config.learningRate
    end = config.lrEnd
    power = config.lrPower
    warmupSteps = config.warmupSteps
    stepCount = config.numSteps
  }

  /// The rate of a step (1-based) with the config's base rate.
  public func rate(at step: Int) -> Double { rate(at: step, base: nil) }

  /// With w warm-up steps: base·t/w at steps t ≤ w; after that, with p = (t − w)/max(1, num_steps − w + 1),
  ///
  /// - constant, plateau: base (of `plateau`, evaluations lower the base: `PlateauState`)
  /// - linear: end + (base − end)(1 − p)
  /// - cosine: end + (base − end)·½(1 + cos πp)
  /// - polynomial: end + (base − end)(1 − p)^power
  /// - slanted triangular (Howard & Ruder 2018, with p for t/T): base·(1 + q·(32 − 1))/32, where q = p/.1 up to p = .1
  ///   and 1 − (p − .1)/(1 − .1) from there on
  ///
  /// - Parameters:
  ///   - step: 1-based.
  ///   - base: in place of `learning_rate`, where what training has come to changes it; nil: that.
  public func rate(at step: Int, base: Double?) -> Double {
    let base = base ?? self.base
    guard step > warmupSteps else { return base * Double(step) / Double(max(1, warmupSteps)) }
    let progress = Double(step - warmupSteps) / Double(max(1, stepCount - warmupSteps + 1))
    switch kind {
    case .constant, .plateau: return base
    case .linear: return end + (base - end) * (1 - progress)
    case .cosine: return end + (base - end) * 0.5 * (1 + nl_cos(Double.pi * progress))
    case .polynomial: return end + (base - end) * nl_pow(1 - progress, power)
    case .slantedTriangular:
      let cut = Self.slantedCut
      let share = progress <= cut ? progress / cut : 1 - (progress - cut) / (1 - cut)
      return base * (1 + share * (Self.slantedRatio - 1)) / Self.slantedRatio
    }
  }
}
