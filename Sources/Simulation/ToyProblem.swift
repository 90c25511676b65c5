import NestedLearning
import Service
import Training
import WireProtocol

/// A training problem of a few numbers that is as easily upset as can be: every gradient depends on every bit of every
/// tier's parameters, on the step, the micro-batch and its tokens. A wrong version, a gradient that is counted twice
/// or lost, or one of another step, changes everything that comes after.
struct ToyProblem: BatchSource {
  var config: NestedLearningConfig
  let scheduler: ParameterTierScheduler
  let shapes: [String: [Int]]
  let initialValues: [String: [Float]]
  let layout: TierLayout
  /// Micro-batches of an evaluation.
  let evaluationCount: Int

  /// - Parameters:
  ///   - tierSizes: the number of values in the parameters of each tier.
  ///   - config: periods, micro-batches, optimizer, and so on; its tiers are set here.
  init(tierSizes: [[Int]], config: NestedLearningConfig, evaluationCount: Int) throws {
    var config = config
    config.numTiers = tierSizes.count
    config.tierAssignmentStrategy = .layerDepth
    config.tierOrder = .shallowFast
    var parameters: [TrainableParameter] = []
    var shapes: [String: [Int]] = [:]
    var values: [String: [Float]] = [:]
    var random = SplitMix64(seed: config.seed)
    for (tier, sizes) in tierSizes.enumerated() {
      for (index, size) in sizes.enumerated() {
        let name = Self.moduleName(tier, index)
        parameters.append(TrainableParameter(name: name, module: name, layer: tier, count: size))
        shapes[name] = [size]
        values[name] = (0..<size).map { _ in Float.random(in: -1...1, using: &random) }
      }
    }
    self.config = config
    scheduler = try ParameterTierScheduler(config: config, parameters: parameters)
    self.shapes = shapes
    initialValues = values
    layout = TierLayout(scheduler: scheduler, shapes: shapes)
    self.evaluationCount = evaluationCount
  }

  /// Of a module with one parameter that has its name.
  static func moduleName(_ tier: Int, _ index: Int) -> String { "t\(tier).\(index)" }

  var tierCount: Int { scheduler.tiers.count }
  var usesWindows: Bool { config.inactiveGradients != .discard }

  func initialState() throws -> NestedTrainerState {
    try NestedTrainerState(config: config, scheduler: scheduler, parameters: initialValues, shapes: shapes)
  }

  // MARK: - Data

  /// The micro-batches of a step: one to three tokens each, of which at least one is trained.
  func microBatches(step: Int) -> [AssignedMicroBatch] {
    (0..<config.gradientAccumulationSteps).map { microBatch($0, salt: UInt64(step)) }
  }

  func evaluationBatches() -> [AssignedMicroBatch] { (0..<evaluationCount).map(evaluationBatch) }

  func evaluationTokens() -> [Int] { evaluationBatches().map(\.trainedTokens) }

  func evaluationBatch(_ number: Int) -> AssignedMicroBatch { microBatch(number, salt: 1 << 40) }

  private func microBatch(_ number: Int, salt: UInt64) -> AssignedMicroBatch {
    var random = SplitMix64(seed: SplitMix64.mix(config.seed &+ salt &* 1_000_003 &+ UInt64(number)))
    let word = random.next()
    let count = Int(word % 3) + 1
    let tokens = (0..<count).map { Int32(truncatingIfNeeded: word >> (8 * $0 + 8) & 0xFF) }
    var labels = (0..<count).map { (word >> (40 + $0)) & 1 == 0 ? Int32(-100) : tokens[$0] + 1 }
    labels[0] = tokens[0] + 1
    return AssignedMicroBatch(number: number, tokens: tokens, offsets: [0, Int32(count)], labels: labels)
  }

  // MARK: - Gradients

  /// How many of a micro-batch's labels the model of these parameters gets right.
  static func correct(_ microBatch: AssignedMicroBatch, _ parameters: ToyParameters) -> Int {
    var hash = parameters.fingerprint
    hash.add(microBatch.number)
    return Int(hash.value % UInt64(microBatch.trainedTokens + 1))
  }

  /// What the model of these parameters makes of a micro-batch.
  ///
  /// - Parameter parameters: by tier, in the layout of WELCOME.
  static func leaf(
    _ microBatch: AssignedMicroBatch, step: Int, tiers: [Int], parameters: ToyParameters
  ) -> (loss: Double, gradients: [Int: [Float]]) {
    var hash = parameters.fingerprint
    hash.add(step)
    hash.add(microBatch.number)
    hash.add(microBatch.tokens)
    hash.add(microBatch.labels)
    let trained = microBatch.trainedTokens
    let loss = Double(hash.value >> 11) * 0x1p-50 * Double(trained)
    var gradients: [Int: [Float]] = [:]
    for tier in tiers {
      gradients[tier] = (0..<parameters.counts[tier]).map { index in
        let bits = SplitMix64.mix(hash.value &+ UInt64(tier * 65_537 + index + 1) &* 0x9E37_79B9_7F4A_7C15)
        return (Float(bits >> 40) * 0x1p-24 - 0.5) * Float(trained)
      }
    }
    return (loss, gradients)
  }
}

/// A worker's copy of the parameters: all that its gradients depend on.
struct ToyParameters: Sendable {
  /// Number of values in each tier.
  let counts: [Int]
  private(set) var values: [[Float]]
  private(set) var versions: [Int?]
  private var fingerprints: [Fingerprint]

  init(counts: [Int]) {
    self.counts = counts
    values = counts.map { Array(repeating: 0, count: $0) }
    versions = counts.map { _ in nil }
    fingerprints = counts.map { _ in Fingerprint() }
  }

  mutating func set(tier: Int, version: Int?, _ new: [Float]) {
    values[tier] = new
    versions[tier] = version
    fingerprints[tier] = Fingerprint()
    fingerprints[tier].add(new)
  }

  var fingerprint: Fingerprint {
    var all = Fingerprint()
    for tier in fingerprints { all.add(tier.value) }
    return all
  }
}
