import NestedLearning

/// The training problem of a seed.
extension ToyProblem {
  static func random(seed: UInt64, isLong: Bool, using random: inout SplitMix64) throws -> ToyProblem {
    var config = NestedLearningConfig(baseModelPath: "/model", trainDataPath: "/data", experimentName: "run")
    config.seed = seed
    let tierCount = Int.random(in: 1...4, using: &random)
    let periods = (0..<tierCount).map { tier in
      tier == 0 ? 1 : Int.random(in: 1...6, using: &random)
    }
    config.tierUpdateFrequencies = random.chance(0.2) ? periods.map { $0 + 1 } : periods
    config.gradientAccumulationSteps = random.chance(0.1) ? 17 : Int.random(in: 1...7, using: &random)
    config.inactiveGradients = InactiveGradients.allCases.randomElement(using: &random) ?? .discard
    config.flushEvery = Int.random(in: 1...8, using: &random)
    config.optimizer = random.chance(0.8) ? .adam : random.chance(0.5) ? .adamw : .sgd
    config.learningRate = 0.01
    config.warmupSteps = Int.random(in: 0...3, using: &random)
    config.numSteps =
      isLong ? Int.random(in: 60...150, using: &random) : Int.random(in: 2...12, using: &random)
    config.evalEvery = Int.random(in: 2...8, using: &random)
    config.earlyStop = random.chance(0.2)
    config.patience = Int.random(in: 1...3, using: &random)
    config.checkpointEvery = Int.random(in: 1...6, using: &random)
    // From a stream of its own, so that the other values of a seed remain what they were.
    var phases = SplitMix64(seed: SplitMix64.mix(seed &+ 0x9_4A5E))
    if phases.chance(0.3) {
      config.tierPhase =
        phases.chance(0.5)
        ? .staggered
        : .list(config.tierUpdateFrequencies.map { Int.random(in: 0..<$0, using: &phases) })
    }
    consolidate(&config, tierCount: tierCount, seed: seed)
    var scales = SplitMix64(seed: seed ^ 0x73_6361_6C65)
    config.selectScale = scales.chance(0.1)
    adapt(&config, tierCount: tierCount, seed: seed)
    stage(&config, tierCount: tierCount, seed: seed)
    let tierSizes = (0..<tierCount).map { _ in
      (0..<Int.random(in: 1...2, using: &random)).map { _ in Int.random(in: 1...5, using: &random) }
    }
    move(&config, tierSizes, seed: seed)
    return try ToyProblem(
      tierSizes: tierSizes, config: config, evaluationCount: Int.random(in: 1...4, using: &random))
  }

  /// Tiers that begin to learn later, or never, and rates that evaluations lower, for some of the seeds.
  private static func adapt(_ config: inout NestedLearningConfig, tierCount: Int, seed: UInt64) {
    var random = SplitMix64(seed: seed ^ 0x61_6461_7074)
    if random.chance(0.15) {
      (config.lrSchedule, config.plateauPatience) = (.plateau, 0)
    }
    guard config.tierMode == .layers, tierCount > 1, random.chance(0.25) else { return }
    if random.chance(0.3) { config.freeze = [.layers(0...0)] }
    var steps = Set<Int>()
    for layers in 2...tierCount {
      let step = Int.random(in: 1...config.numSteps, using: &random)
      guard steps.insert(step).inserted else { continue }
      config.unfreezeSchedule.append(UnfreezeStage(at: .step(step), layers: layers))
    }
  }

  /// Stages of a curriculum, some with periods of their own, that follow the accuracy of evaluations, for some of the seeds.
  private static func stage(_ config: inout NestedLearningConfig, tierCount: Int, seed: UInt64) {
    var random = SplitMix64(seed: seed ^ 0x70_6C61_6E73)
    guard config.tierMode == .layers, random.chance(0.3) else { return }
    config.curriculumStrategy = .stages
    config.evalEvery = min(config.evalEvery, Int.random(in: 1...4, using: &random))
    config.curriculumStages = (0..<Int.random(in: 2...4, using: &random)).map { number in
      let periods = (0..<tierCount).map { _ in Int.random(in: 1...5, using: &random) }
      // The run begins with the periods that its phases are for.
      return CurriculumStage(
        target: random.chance(0.5) ? 0 : 0.5,
        frequencies: number > 0 && random.chance(0.8) ? periods : nil)
    }
  }

  /// Modules that stages have in other tiers, where there are stages, for half of them.
  private static func move(_ config: inout NestedLearningConfig, _ tierSizes: [[Int]], seed: UInt64) {
    guard config.curriculumStrategy == .stages, tierSizes.count > 1 else { return }
    var random = SplitMix64(seed: seed ^ 0x6D_6F_7665)
    let modules = tierSizes.enumerated().flatMap { tier, sizes in
      sizes.indices.map { (name: moduleName(tier, $0), tier: tier) }
    }
    for stage in config.curriculumStages.indices where random.chance(0.5) {
      let places = modules.map {
        random.chance(0.4) ? Int.random(in: 0..<tierSizes.count, using: &random) : $0.tier
      }
      let entries = zip(modules, places).filter { $0.tier != $1 }.map {
        ManualTierMap.Entry(pattern: $0.name, tier: $1)
      }
      guard !entries.isEmpty, Set(places).count == tierSizes.count else { continue }
      config.curriculumStages[stage].tierMap = ManualTierMap(entries: entries, isOrdered: random.chance(0.5))
    }
  }

  /// Slower copies for some of the seeds that discard gradients. The numbers are drawn apart, so that the other seeds are
  /// what they were.
  private static func consolidate(_ config: inout NestedLearningConfig, tierCount: Int, seed: UInt64) {
    var random = SplitMix64(seed: seed ^ 0x636F_7079)
    guard config.inactiveGradients == .discard, random.chance(0.25) else { return }
    config.tierMode = .consolidate
    config.tierPhase = .aligned
    var period = 1
    config.tierUpdateFrequencies = (0..<tierCount).map { tier in
      if tier > 0 { period *= Int.random(in: 1...3, using: &random) }
      return period
    }
    config.consolidateAlpha = [Double.random(in: 0.1...1, using: &random)]
    config.consolidateMoments = ConsolidateMoments.allCases.randomElement(using: &random) ?? .keep
    config.anchor = random.chance(0.5) ? 0.25 : 0
  }
}
