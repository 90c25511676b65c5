import Kernels

/// Adam, AdamW or SGD over tiers: the moments and the update count of a tier move only when that tier is updated,
/// as with one PyTorch optimizer per tier whose gradients are None at the other steps.
///
/// The formulas are PyTorch's, in f32, each operation rounded by itself:
/// - adam, adamw: m += (g − m)(1 − β₁); v = β₂v + ((1 − β₂)g)g;
///   θ −= (η/(1 − β₁ᵗ))·m / (√v/√(1 − β₂ᵗ) + ε), t the tier's own count of updates
/// - sgd: θ −= η·g
/// - weight decay w: g += w·θ for adam and sgd; θ *= 1 − η·w before the update for adamw
public struct NestedAdam: Sendable {
  /// Running means of a parameter's gradients and of their squares, from zero.
  public struct Moments: Sendable, Equatable {
    /// m
    public var mean: [Float]
    /// v
    public var square: [Float]
  }

  public let kind: OptimizerKind
  private let beta1: Double
  private let beta2: Double
  private let eps: Double
  private let weightDecay: Double
  /// The parameters of tasks' weights, which have a rate of their own and no decay: 0 is no better than another value.
  private static let taskWeightNames: Set = ["heads.log_variances", GradNorm.weightsName]
  /// Updates applied, one count a tier.
  public private(set) var updateCounts: [Int]
  private var betaPowers: [(beta1: Double, beta2: Double)]
  /// By parameter name; empty for sgd.
  public private(set) var moments: [String: Moments]

  /// An optimizer that has made no update.
  ///
  /// - Parameter counts: how many numbers each parameter has.
  public init(config: NestedLearningConfig, tierCount: Int, counts: [String: Int]) {
    self.init(
      config: config, updateCounts: Array(repeating: 0, count: tierCount), correctedUpdates: nil,
      moments: config.optimizer == .sgd
        ? [:]
        : counts.mapValues { count in
          let zeros = [Float](repeating: 0, count: count)
          return Moments(mean: zeros, square: zeros)
        })
  }

  /// An optimizer as it was after `updateCounts` updates.
  ///
  /// - Parameter correctedUpdates: of each tier, the updates since its moments began; nil: all.
  init(
    config: NestedLearningConfig, updateCounts: [Int], correctedUpdates: [Int]? = nil,
    moments: [String: Moments]
  ) {
    kind = config.optimizer
    beta1 = config.beta1
    beta2 = config.beta2
    eps = config.eps
    weightDecay = config.weightDecay
    self.updateCounts = updateCounts
    self.moments = moments
    betaPowers = (correctedUpdates ?? updateCounts).map { [beta1, beta2] in
      (Self.power(beta1, $0), Self.power(beta2, $0))
    }
  }

  /// βᵗ by repeated multiplication, as if it had been kept from the first update on.
  private static func power(_ beta: Double, _ count: Int) -> Double {
    var power = 1.0
    for _ in 0..<count where power > 0 {
      let next = power * beta
      // Among the denormals a product can round to itself; from there on it stays.
      if next == power { break }
      power = next
    }
    return power
  }

  /// All moments begin anew; the counts of updates go on.
  mutating func resetMoments() {
    for (name, old) in moments {
      let zeros = [Float](repeating: 0, count: old.mean.count)
      moments[name] = Moments(mean: zeros, square: zeros)
    }
    betaPowers = betaPowers.map { _ in (1, 1) }
  }

  mutating func setMoments(_ moments: Moments, of name: String) { self.moments[name] = moments }

  /// Updates one tier. If this throws, nothing was changed.
  ///
  /// - Parameters:
  ///   - rate: η, the learning rate of this tier at this step.
  ///   - gradientScale: what each gradient is multiplied by first, such as for clipping.
  ///   - gradients: one for every parameter of the tier, and no other.
  /// - Returns: whether any bit of a parameter changed.
  public mutating func update(
    tier: Int, rate: Double, gradientScale: Float = 1, parameters: inout [String: [Float]],
    gradients: GradientSums
  ) throws(TrainerError) -> Bool {
    guard updateCounts.indices.contains(tier) else { throw .gradients(name: "tier \(tier)", "is not there") }
    for (name, gradient) in gradients {
      guard let count = parameters[name]?.count, kind == .sgd || moments[name] != nil else {
        throw .gradients(name: name, "belongs to no parameter")
      }
      guard count == gradient.count else {
        throw .gradients(name: name, "has \(gradient.count) numbers for \(count) of the parameter")
      }
      guard Vectors.isFinite(gradient) else { throw .notFinite(name: name) }
    }
    return updateChecked(
      tier: tier, rate: rate, gradientScale: gradientScale, parameters: &parameters, gradients: gradients)
  }

  /// `update` for gradients that are known to fit and to be finite.
  ///
  /// - Parameters:
  ///   - taskWeightsRate: η of the weights of tasks.
  ///   - rateScales: by parameter, what its rate is multiplied by; what is not there has 1.
  mutating func updateChecked(
    tier: Int, rate: Double, taskWeightsRate: Double? = nil, gradientScale: Float,
    parameters: inout [String: [Float]], gradients: GradientSums, rateScales: [String: Double] = [:]
  ) -> Bool {
    updateCounts[tier] += 1
    betaPowers[tier].beta1 *= beta1
    betaPowers[tier].beta2 *= beta2
    func taskWeightsRule(gradientScale: Float) -> UpdateRule {
      UpdateRule(
        kind: kind, rate: taskWeightsRate ?? rate, beta1: beta1, beta2: beta2, powers: betaPowers[tier],
        eps: eps, weightDecay: 0, gradientScale: gradientScale)
    }
    var rules: [Double: UpdateRule] = [:]
    var changed = false
    for (name, gradient) in gradients {
      let scale = rateScales[name] ?? 1
      let own =
        rules[scale]
        ?? UpdateRule(
          kind: kind, rate: rate * scale, beta1: beta1, beta2: beta2, powers: betaPowers[tier], eps: eps,
          weightDecay: weightDecay, gradientScale: gradientScale)
      rules[scale] = own
      let rule =
        Self.taskWeightNames.contains(name)
        ? taskWeightsRule(gradientScale: name == GradNorm.weightsName ? 1 : gradientScale) : own
      let tensorChanged =
        kind == .sgd
        ? rule.sgd(&parameters[name, default: []], gradient)
        : rule.adam(
          &parameters[name, default: []], &moments[name, default: Moments(mean: [], square: [])], gradient)
      changed = changed || tensorChanged
    }
    return changed
  }
}

/// The numbers of one tier's update at one step, and the loops that apply it.
private struct UpdateRule {
  /// For sgd: η.
  private let rate: Float
  private let adam: nl_adam_rule

  init(
    kind: OptimizerKind, rate: Double, beta1: Double, beta2: Double, powers: (beta1: Double, beta2: Double),
    eps: Double, weightDecay: Double, gradientScale: Float
  ) {
    self.rate = Float(rate)
    adam = nl_adam_rule(
      gradient_scale: gradientScale, folded_decay: kind == .adamw ? 0 : Float(weightDecay),
      shrink: kind == .adamw ? Float(1 - rate * weightDecay) : 1, one_minus_beta1: Float(1 - beta1),
      beta2: Float(beta2), one_minus_beta2: Float(1 - beta2), step_size: Float(rate / (1 - powers.beta1)),
      root_correction: Float((1 - powers.beta2).squareRoot()), eps: Float(eps))
  }

  /// Returns whether any bit of `parameter` changed. All arrays have one length.
  func adam(_ parameter: inout [Float], _ moments: inout NestedAdam.Moments, _ gradient: [Float]) -> Bool {
    let count = min(parameter.count, gradient.count, moments.mean.count, moments.square.count)
    return withUnsafePointer(to: adam) { rule in
      nl_adam(nil, count, rule, gradient, &parameter, &moments.mean, &moments.square)
    }
  }

  /// Returns whether any bit of `parameter` changed.
  func sgd(_ parameter: inout [Float], _ gradient: [Float]) -> Bool {
    let count = min(parameter.count, gradient.count)
    return parameter.withUnsafeMutableBufferPointer { p in
      gradient.withUnsafeBufferPointer { gradient in
        var changed: UInt32 = 0
        for i in 0..<count {
          let old = p[i]
          let new = old - rate * (gradient[i] * adam.gradient_scale + adam.folded_decay * old)
          p[i] = new
          changed |= new.bitPattern ^ old.bitPattern
        }
        return changed != 0
      }
    }
  }
}
