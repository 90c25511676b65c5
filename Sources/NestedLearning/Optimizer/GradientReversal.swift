import Kernels

/// λ of gradient reversal (Ganin et al. 2016): what the transformer receives of the discriminator's gradient is multiplied by
/// −λ(p), with λ(p) = most·(2/(1 + e^(−αp)) − 1) and p = (t − 1)/T at step t of T, so that a discriminator which knows
/// nothing yet has no say.
public struct GradientReversal: Sendable {
  private let most: Double
  private let alpha: Double
  private let count: Int

  /// - Returns: nil if the config has no adversary.
  public init?(_ config: NestedLearningConfig) {
    guard config.adaptationAdversary > 0 else { return nil }
    (most, alpha) = (config.adaptationAdversary, config.adaptationAdversaryAlpha)
    count = max(1, config.numSteps)
  }

  /// - Parameter step: 1-based.
  public func lambda(at step: Int) -> Double {
    let p = min(max(Double(step - 1) / Double(count), 0), 1)
    return most * (2 / (1 + nl_exp(-alpha * p)) - 1)
  }
}
