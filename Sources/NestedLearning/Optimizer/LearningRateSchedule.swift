import Kernels

/// The learning rate of each step.
public struct LearningRateSchedule: Sendable {
  private let kind: LearningRateScheduleKind
  private let base: Double
  private let warmupSteps: Int
  private let stepCount: Int

  public init(config: NestedLearningConfig) {
    kind = config.lrSchedule
    base = config.learningRate
    warmupSteps = config.warmupSteps
    stepCount = config.numSteps
  }

  /// With w warm-up steps: base·t/w at steps t ≤ w; after that, with p = (t − w)/max(1, num_steps − w + 1),
  /// base (constant), base·(1 − p) (linear) or base·½(1 + cos πp) (cosine).
  ///
  /// - Parameter step: 1-based.
  public func rate(at step: Int) -> Double { rate(at: step, base: base) }

  /// The same of another base than the config's learning rate, as a stage of a curriculum has one; nil: that.
  public func rate(at step: Int, base given: Double?) -> Double {
    let base = given ?? base
    guard step > warmupSteps else { return base * Double(step) / Double(max(1, warmupSteps)) }
    let progress = Double(step - warmupSteps) / Double(max(1, stepCount - warmupSteps + 1))
    switch kind {
    case .constant: return base
    case .linear: return base * (1 - progress)
    case .cosine: return base * 0.5 * (1 + nl_cos(Double.pi * progress))
    }
  }
}
