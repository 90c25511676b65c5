/// What workers computed for one step.
public enum StepGradients: Sendable {
  /// For `discard`: the un-normalised gradient of every parameter of every active tier, summed over the step's
  /// micro-batches by the fixed tree.
  case sums(GradientSums)
  /// For `mean` and `sum`: by micro-batch index g, the gradient of every parameter of every tier, each already
  /// passed through `GradientWindow.scaled` with the step's trained tokens.
  case scaledMicroBatches([GradientSums])
  /// For `mean` and `sum`, where the windows are kept elsewhere: for every parameter of every active tier, the fixed
  /// tree over the chains of the window that this step closes. The state has no chains afterwards, until `setWindow`.
  case windowTotals(GradientSums)
}

/// What a step did.
public struct StepOutcome: Sendable, Equatable {
  public let step: Int
  /// The tiers that were updated, ascending.
  public let activeTiers: [Int]
  /// The scheduled base rate.
  public let learningRate: Double
  /// The rate of each tier at this step, whether it was updated or not.
  public let tierLearningRates: [Double]
  /// Norm of the gradients that were applied, before clipping; 0 if no tier was active.
  public let gradNorm: Double
  /// The same for each tier; 0 for a tier that was not active.
  public let tierGradNorms: [Double]
  /// What clipping multiplied the gradients by.
  public let clipScale: Float
  /// Whether any bit of any parameter changed.
  public let changedParameters: Bool
  /// With `tier_mode: consolidate`, the slower copies that followed, ascending.
  public let followed: [Int]
  /// What holds the parameters where training began came to before the step; nil without.
  public let penalty: Double?

  /// The tiers of the config that did something, ascending.
  public var shownTiers: [Int] { activeTiers + followed }

  /// A tier was active with a rate above 0, and yet nothing changed: if this is so at the first such step, the
  /// run trains nothing.
  public var isWithoutEffect: Bool {
    !changedParameters && activeTiers.contains { tierLearningRates[$0] > 0 }
  }
}
