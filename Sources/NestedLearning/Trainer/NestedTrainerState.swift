/// All that training changes: parameters, moments, update counts and windows, and how one step changes them.
///
/// The state after step t is a function of the state before it and of the step's gradients, to the bit. A copy
/// stays as it is while the original goes on.
public struct NestedTrainerState: Sendable {
  public let config: NestedLearningConfig
  /// With the periods of all plans up to the present one.
  public private(set) var scheduler: ParameterTierScheduler
  public let schedule: LearningRateSchedule
  /// That of the weights of tasks.
  private let taskWeightsSchedule: LearningRateSchedule
  /// The shape of each parameter, by name.
  public let shapes: [String: [Int]]
  /// The last step that was applied; 0 before the first.
  public internal(set) var step: Int
  public private(set) var parameters: [String: [Float]]
  public private(set) var optimizer: NestedAdam
  /// Nil if gradients of inactive tiers are discarded.
  public private(set) var window: GradientWindow?
  /// The slower copies of `tier_mode: consolidate`; nil without.
  public private(set) var consolidation: Consolidation?

  /// What holds the parameters where training began; nil without. Not part of a snapshot: config and data decide it.
  public var penalty: WeightPenalty?

  /// What is evaluated, and what training comes to: the parameters, or their slowest copy.
  public var published: [String: [Float]] { consolidation?.slowest ?? parameters }

  /// The state before step 1.
  ///
  /// - Parameters:
  ///   - parameters: exactly those that `scheduler` divided into tiers, by name; row-major.
  ///   - shapes: the shape of each.
  public init(
    config: NestedLearningConfig, scheduler: ParameterTierScheduler, parameters: [String: [Float]],
    shapes: [String: [Int]]
  ) throws(TrainerError) {
    let optimizer = NestedAdam(
      config: config, tierCount: scheduler.tiers.count, counts: parameters.mapValues(\.count))
    try self.init(
      config: config, scheduler: scheduler, parameters: parameters, shapes: shapes, step: 0,
      optimizer: optimizer, window: GradientWindow(microBatchCount: config.gradientAccumulationSteps),
      consolidation: config.tierMode == .consolidate
        ? Consolidation(config: config, parameters: parameters, moments: optimizer.moments) : nil)
  }

  init(
    config: NestedLearningConfig, scheduler: ParameterTierScheduler, parameters: [String: [Float]],
    shapes: [String: [Int]], step: Int, optimizer: NestedAdam, window: GradientWindow,
    consolidation: Consolidation?
  ) throws(TrainerError) {
    self.config = config
    self.scheduler = scheduler
    schedule = LearningRateSchedule(config: config)
    var ofTaskWeights = config
    ofTaskWeights.learningRate = config.tasksWeightingRate
    taskWeightsSchedule = LearningRateSchedule(config: ofTaskWeights)
    self.shapes = shapes
    self.step = step
    self.parameters = parameters
    self.optimizer = optimizer
    self.window = config.inactiveGradients == .discard ? nil : window
    self.consolidation = consolidation
    try Self.check(parameters, shapes, scheduler)
  }

  private static func check(
    _ parameters: [String: [Float]], _ shapes: [String: [Int]], _ scheduler: ParameterTierScheduler
  ) throws(TrainerError) {
    for name in scheduler.parameters {
      guard let values = parameters[name] else { throw .parameter(name: name, "has no values") }
      guard let shape = shapes[name] else { throw .parameter(name: name, "has no shape") }
      guard shape.allSatisfy({ $0 > 0 }), Self.count(of: shape) == values.count else {
        throw .parameter(name: name, "has \(values.count) values, which the shape \(shape) does not hold")
      }
      guard Vectors.isFinite(values) else {
        throw .parameter(name: name, "has a value that is not finite")
      }
    }
    if let name = parameters.keys.sortedByBytes().first(where: { scheduler.tier(of: $0) == nil }) {
      throw .parameter(name: name, "is in no tier")
    }
  }

  /// The product of the sizes; nil if it is more than an `Int` holds.
  static func count(of shape: [Int]) -> Int? {
    var count = 1
    for size in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      if overflow { return nil }
      count = product
    }
    return count
  }

  /// The tiers of which step `step` needs gradients: the active ones, or, for windows, all that learn yet.
  public func tiersDue(at step: Int) -> [Int] {
    window == nil ? scheduler.activeTiers(at: step) : scheduler.learningTiers(at: step)
  }

  /// Takes other periods, each tier once its window is closed; between two steps.
  public mutating func follow(_ change: PlanChange) { scheduler.follow(change) }

  /// Applies one step: normalises the gradients, clips them, updates the active tiers.
  ///
  /// - Parameters:
  ///   - step: the one after the last.
  ///   - trainedTokens: tokens of the step that have a loss, over all its micro-batches.
  ///   - taskLosses: the mean loss of each task, where there are any, for GradNorm.
  ///   - baseRate: in place of `learning_rate`, where evaluations change it.
  /// - Throws: `TrainerError`; nothing was changed then.
  public mutating func apply(
    step: Int, trainedTokens: Int, taskLosses: [Double] = [], gradients: consuming StepGradients,
    baseRate: Double? = nil
  ) throws -> StepOutcome {
    guard step == self.step + 1 else { throw TrainerError.step(step, expected: self.step + 1) }
    // Rows without a label, whose domain alone is told, may be all that a step has.
    guard trainedTokens > 0 || config.adaptationAdversary > 0 else {
      throw TrainerError.noTrainedTokens(step: step)
    }
    let active = scheduler.activeTiers(at: step)
    var due = try dueGradients(gradients, active: active, trainedTokens: max(1, trainedTokens))
    let isBalanced = config.tasksWeighting == .gradnorm && active.contains(0)
    let gradNorm = isBalanced ? try GradNorm(config, from: &due.gradients[0, default: [:]]) : nil
    for tier in active { penalty?.add(to: &due.gradients[tier, default: [:]], parameters: parameters) }
    let penaltyValue = penalty?.value(of: parameters)
    let clipping = try GradientClipping(
      gradients: due.gradients, tierCount: scheduler.tiers.count, maximumNorm: config.maxGradNorm)

    // From here on nothing fails.
    if due.endsChains { window?.removeAll() }
    for (name, waiting) in due.waiting { window?.add(waiting, to: name) }
    let rate = schedule.rate(at: step, base: baseRate)
    let tierRates = scheduler.tiers.map { rate * scheduler.learningRateScale($0.index, at: step) }
    let taskWeightsRate = taskWeightsSchedule.rate(at: step)
    if let gradNorm { prepare(gradNorm, losses: taskLosses, for: &due) }
    var changed = false
    for tier in active {
      let tierChanged = optimizer.updateChecked(
        tier: tier, rate: tierRates[tier],
        taskWeightsRate: taskWeightsRate * scheduler.learningRateScale(tier, at: step),
        gradientScale: clipping.scale,
        parameters: &parameters, gradients: due.gradients[tier] ?? [:], rateScales: scheduler.rateScales)
      changed = changed || tierChanged
      for name in scheduler.tiers[tier].parameters { window?.close(name) }
    }
    if gradNorm != nil {
      parameters[GradNorm.weightsName] = GradNorm.normalised(parameters[GradNorm.weightsName] ?? [])
    }
    self.step = step
    let followed = consolidation?.follow(step: step, parameters: &parameters, optimizer: &optimizer) ?? []
    return StepOutcome(
      step: step, activeTiers: active, learningRate: rate, tierLearningRates: tierRates,
      gradNorm: clipping.norm, tierGradNorms: clipping.tierNorms, clipScale: clipping.scale,
      changedParameters: changed, followed: followed, penalty: penaltyValue)
  }

  /// Gives the weights of tasks their gradient, after clipping, which it has no part in.
  private mutating func prepare(_ gradNorm: GradNorm, losses: [Double], for due: inout Due) {
    let weights = parameters[GradNorm.weightsName] ?? []
    if step == 0, losses.count == weights.count {
      parameters[GradNorm.firstLossesName] = losses.map { Float($0) }
    }
    due.gradients[0]?[GradNorm.weightsName] = gradNorm.slopes(
      weights: weights, losses: losses, first: parameters[GradNorm.firstLossesName] ?? [])
  }

  /// Passes over a step at which no tier is due and whose gradients are discarded: it changes nothing but the count.
  ///
  /// - Throws: `TrainerError` if the step is another than the one after the last, or something is due.
  public mutating func skip(step: Int, baseRate: Double? = nil) throws -> StepOutcome {
    guard tiersDue(at: step).isEmpty else {
      throw TrainerError.gradients(name: "step \(step)", "are missing: tiers \(tiersDue(at: step)) are due")
    }
    return try pass(step: step, baseRate: baseRate)
  }

  /// Counts a step that changes nothing, whatever is due at it: one of a measurement.
  ///
  /// - Throws: `TrainerError` if the step is another than the one after the last.
  public mutating func pass(step: Int, baseRate: Double? = nil) throws -> StepOutcome {
    guard step == self.step + 1 else { throw TrainerError.step(step, expected: self.step + 1) }
    let clipping = try GradientClipping(
      gradients: [:], tierCount: scheduler.tiers.count, maximumNorm: config.maxGradNorm)
    self.step = step
    let rate = schedule.rate(at: step, base: baseRate)
    return StepOutcome(
      step: step, activeTiers: [], learningRate: rate,
      tierLearningRates: scheduler.tiers.map { rate * scheduler.learningRateScale($0.index, at: step) },
      gradNorm: clipping.norm, tierGradNorms: clipping.tierNorms, clipScale: clipping.scale,
      changedParameters: false, followed: [], penalty: penalty?.value(of: parameters))
  }

  /// Sets the chains of all windows that are open after the last step, which were kept elsewhere.
  ///
  /// - Parameter chains: by g, then by parameter; exactly those of the tiers that the last step did not update.
  /// - Throws: `TrainerError.gradients` if one is missing, unknown or of the wrong size; nothing was changed then.
  public mutating func setWindow(_ chains: [GradientSums]) throws(TrainerError) {
    guard let window, chains.count == window.microBatchCount else {
      throw .gradients(name: "the window", "has \(chains.count) micro-batches")
    }
    let open = scheduler.openTiers(after: step)
    for chain in chains { try check(chain, tiers: open) }
    self.window = GradientWindow(chains: chains)
  }

  private struct Due {
    /// The gradients to apply now, by tier.
    var gradients: [Int: GradientSums] = [:]
    /// Those that wait in windows, by parameter and g.
    var waiting: [String: [[Float]]] = [:]
    /// The chains of this state are not those of the step that is applied.
    var endsChains = false
  }

  private func dueGradients(
    _ gradients: consuming StepGradients, active: [Int], trainedTokens: Int
  ) throws -> Due {
    // Taken out of what is given up here, so that sums are divided where they lie.
    switch consume gradients {
    case .sums(var sums):
      guard window == nil else {
        throw TrainerError.gradients(name: "the step", "came as one sum, but windows need each micro-batch")
      }
      return Due(gradients: try divided(&sums, active) { _ in Float(trainedTokens) })
    case .windowTotals(var totals):
      guard window != nil else { throw Self.isForWindow }
      let isMean = config.inactiveGradients == .mean
      return Due(
        gradients: try divided(&totals, active) { isMean ? Float($0.frequency(at: step + 1)) : nil },
        endsChains: true)
    case .scaledMicroBatches(let microBatches):
      guard let window else { throw Self.isForWindow }
      return try windowed(microBatches, window, active, scheduler.learningTiers(at: step + 1))
    }
  }

  private static let isForWindow = TrainerError.gradients(
    name: "the step", "came for a window, but discard needs one sum")

  /// Sums of active tiers, each divided by its tier's number, if there is one.
  private func divided(
    _ sums: inout GradientSums, _ active: [Int], by divisor: (Tier) -> Float?
  ) throws -> [Int: GradientSums] {
    var due: [Int: GradientSums] = [:]
    try check(sums, tiers: active)
    for tier in active {
      let divisor = divisor(scheduler.tiers[tier])
      for name in scheduler.tiers[tier].parameters {
        var gradient = sums.removeValue(forKey: name) ?? []
        if let divisor { Vectors.divide(&gradient, by: divisor) }
        due[tier, default: [:]][name] = gradient
      }
    }
    return due
  }

  private func windowed(
    _ microBatches: [GradientSums], _ window: GradientWindow, _ active: [Int], _ learning: [Int]
  ) throws -> Due {
    guard microBatches.count == window.microBatchCount else {
      throw TrainerError.gradients(
        name: "the step", "has \(microBatches.count) micro-batches of \(window.microBatchCount)")
    }
    for microBatch in microBatches { try check(microBatch, tiers: learning) }
    var due = Due()
    for tier in learning.map({ scheduler.tiers[$0] }) {
      let isActive = active.contains(tier.index)
      for name in tier.parameters {
        let gradients = microBatches.map { $0[name] ?? [] }
        // What goes into a window must be finite now: by the boundary nobody could tell which step it was.
        guard gradients.allSatisfy(Vectors.isFinite) else { throw TrainerError.notFinite(name: name) }
        guard isActive else {
          due.waiting[name] = gradients
          continue
        }
        var total = try window.total(of: name, adding: gradients)
        if config.inactiveGradients == .mean {
          Vectors.divide(&total, by: Float(tier.frequency(at: step + 1)))
        }
        due.gradients[tier.index, default: [:]][name] = total
      }
    }
    return due
  }

  /// Exactly the parameters of these tiers, each with its size.
  private func check(_ gradients: GradientSums, tiers: [Int]) throws(TrainerError) {
    var expected = 0
    for tier in tiers {
      for name in scheduler.tiers[tier].parameters {
        expected += 1
        guard let gradient = gradients[name] else { throw .gradients(name: name, "is missing") }
        let count = parameters[name]?.count ?? 0
        guard gradient.count == count else {
          throw .gradients(name: name, "has \(gradient.count) numbers for \(count) of the parameter")
        }
      }
    }
    guard gradients.count == expected else {
      let due = Set(tiers.flatMap { scheduler.tiers[$0].parameters })
      let other = gradients.keys.sortedByBytes().first { !due.contains($0) } ?? ""
      throw .gradients(name: other, "is not due at this step")
    }
  }
}
