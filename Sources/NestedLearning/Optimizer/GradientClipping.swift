/// Clipping by the global norm, as `torch.nn.utils.clip_grad_norm_` does, over the gradients of one step.
public struct GradientClipping: Sendable, Equatable {
  /// ‖g‖₂ of the gradients of all tiers, before clipping; 0 without gradients.
  public let norm: Double
  /// The norm of each tier's gradients, before clipping; 0 for a tier without.
  public let tierNorms: [Double]
  /// What the gradients are multiplied by: min(1, max/(norm + 1e-6)), or 1 without a maximum.
  public let scale: Float

  /// Adds squares in Double: within a tensor in 64 fixed lanes, then tensor after tensor in the order of the
  /// UTF-8 bytes of their names.
  ///
  /// - Parameter gradients: by tier, those about to be applied, already divided by the trained tokens.
  /// - Throws: `TrainerError.notFinite`, naming the first parameter whose gradient is not finite.
  public init(gradients: [Int: GradientSums], tierCount: Int, maximumNorm: Double?) throws(TrainerError) {
    var squares: [(name: String, tier: Int, sum: Double)] = []
    for (tier, sums) in gradients {
      for (name, gradient) in sums { squares.append((name, tier, Vectors.sumOfSquares(gradient))) }
    }
    squares.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    var total = 0.0
    var tierTotals = Array(repeating: 0.0, count: tierCount)
    for (name, tier, sum) in squares {
      // Squares of finite floats cannot overflow a Double, so this is a test of the gradient itself.
      guard sum.isFinite else { throw .notFinite(name: name) }
      total += sum
      if tierTotals.indices.contains(tier) { tierTotals[tier] += sum }
    }
    norm = total.squareRoot()
    tierNorms = tierTotals.map { $0.squareRoot() }
    scale = maximumNorm.map { [norm] in Float(min(1, $0 / (norm + 1e-6))) } ?? 1
  }
}
