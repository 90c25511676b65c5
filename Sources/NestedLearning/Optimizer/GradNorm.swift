import Kernels

/// GradNorm (Chen et al. 2018): the weights of tasks follow the norms of their gradients, so that tasks that learn slowly get
/// larger ones. With the losses L_i of a step, those of step 1 L_i(0), the weights w_i and n_i = ‖∇L_i‖ by the last adapted
/// layer: G_i = w_i·n_i, r_i = (L_i/L_i(0)) ÷ their mean, and dw_i = n_i·sign(G_i − mean G·r_i^α) is the gradient of
/// Σ |G_i − mean G·r_i^α| by w alone. After the update the weights are multiplied so that their sum is the number of tasks.
struct GradNorm {
  static let weightsName = "heads.task_weights"
  static let gradientsName = "heads.task_gradients"
  static let firstLossesName = "heads.task_first_losses"

  /// The weights are given their gradient at each step, with what tier 0 is updated by.
  static func check(
    _ config: NestedLearningConfig, tierOfName: [String: Int]
  ) throws(TierError) {
    guard config.tasksWeighting == .gradnorm else { return }
    for name in [weightsName, gradientsName, firstLossesName] {
      guard let tier = tierOfName[name], tier != 0 else { continue }
      throw TierError(
        reason: "\(name) would go to tier \(tier), and gradnorm changes it at each step, with tier 0",
        remedy: "let the first pattern of manual_tier_map that matches \"heads\" be one of tier 0")
    }
  }

  let alpha: Double
  /// Of each task, by the last adapted layer, one after the other.
  private let gradients: [Float]

  /// Takes what is not to be applied as it is out of the gradients of tier 0.
  ///
  /// - Returns: nil if there are no such tensors.
  /// - Throws: `TrainerError.notFinite`.
  init?(_ config: NestedLearningConfig, from gradients: inout GradientSums) throws(TrainerError) {
    guard config.tasksWeighting == .gradnorm,
      let carried = gradients.removeValue(forKey: Self.gradientsName)
    else { return nil }
    guard Vectors.isFinite(carried) else { throw .notFinite(name: Self.gradientsName) }
    gradients[Self.weightsName] = nil
    gradients[Self.firstLossesName] = nil
    (alpha, self.gradients) = (config.tasksGradnormAlpha, carried)
  }

  /// dw of each task.
  ///
  /// - Parameters:
  ///   - losses: the mean of each task at this step.
  ///   - first: at step 1.
  func slopes(weights: [Float], losses: [Double], first: [Float]) -> [Float] {
    let count = weights.count
    guard count > 0, losses.count == count, first.count == count, gradients.count % count == 0 else {
      return [Float](repeating: 0, count: count)
    }
    let size = gradients.count / count
    let norms = (0..<count).map { task in
      Vectors.sumOfSquares(Array(gradients[task * size..<(task + 1) * size])).squareRoot()
    }
    let sizes = zip(weights, norms).map { Double($0) * $1 }
    let rates = zip(losses, first).map { $1 > 0 ? $0 / Double($1) : 1 }
    let (meanSize, meanRate) = (
      sizes.reduce(0, +) / Double(count), rates.reduce(0, +) / Double(count)
    )
    guard meanRate > 0 else { return [Float](repeating: 0, count: count) }
    return (0..<count).map { task in
      let gap = sizes[task] - meanSize * nl_pow(rates[task] / meanRate, alpha)
      return Float(gap > 0 ? norms[task] : gap < 0 ? -norms[task] : 0)
    }
  }

  /// Σ w = T.
  static func normalised(_ weights: [Float]) -> [Float] {
    let sum = weights.reduce(0) { $0 + Double($1) }
    guard sum > 0 else { return weights }
    return weights.map { Float(Double($0) * Double(weights.count) / sum) }
  }
}
