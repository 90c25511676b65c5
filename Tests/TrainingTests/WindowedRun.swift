import Coordination
import Harness
import NestedLearning
import WireProtocol

@testable import Training

/// Three parameters of 5 numbers in tiers at 1, 2 and 4, three micro-batches, gradients made of the step number; with
/// the trainer's own windows, and as what workers would send of the same gradients.
struct WindowedRun {
  static let shapes = ["p0": [5], "p1": [5, 1], "p2": [1, 5]]
  static let count = 3

  struct Arrival {
    let message: ResultMessage
    let node: TreeNode
    let step: Int
  }

  let config: NestedLearningConfig
  var state: NestedTrainerState
  private var clock: WindowClock
  /// What has not come yet of those that are sent one by one.
  private var late: [WindowKey: [Arrival]] = [:]

  init(_ inactive: InactiveGradients) throws {
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    config.learningRate = 0.01
    config.warmupSteps = 3
    config.gradientAccumulationSteps = Self.count
    config.numSteps = 20
    config.inactiveGradients = inactive
    self.config = config
    let scheduler = try ParameterTierScheduler(
      config: config,
      parameters: (0..<3).map { (layer: Int) in
        TrainableParameter(name: "p\(layer)", module: "m\(layer)", layer: layer, count: 5)
      })
    clock = WindowClock(scheduler.tiers)
    let values = Dictionary(
      uniqueKeysWithValues: (0..<3).map { k in ("p\(k)", (0..<5).map { Float($0 + k) / 7 + 0.1 }) })
    state = try NestedTrainerState(
      config: config, scheduler: scheduler, parameters: values, shapes: Self.shapes)
  }

  static func tokens(_ step: Int) -> Int { 3 + step % 4 }

  /// Already divided by the step's tokens.
  static func gradient(_ key: WindowKey, step: Int) -> [Float] {
    let values = (0..<5).map { i in
      Float((step * 31 + key.microBatch * 17 + i * 7 + key.tier * 3) % 23 - 11) / 9
    }
    return GradientWindow.scaled(values, trainedTokens: tokens(step))
  }

  /// Other periods from a step on.
  mutating func follow(_ change: PlanChange) {
    state.follow(change)
    clock = WindowClock(state.scheduler.tiers)
  }

  mutating func apply(step: Int) throws {
    let microBatches = (0..<Self.count).map { g in
      Dictionary(
        uniqueKeysWithValues: (0..<3).map { k in
          ("p\(k)", Self.gradient(WindowKey(tier: k, microBatch: g), step: step))
        })
    }
    _ = try state.apply(
      step: step, trainedTokens: Self.tokens(step), gradients: .scaledMicroBatches(microBatches))
  }

  /// One micro-batch's gradients of some tiers, one by one.
  func separate(_ tiers: [Int], _ g: Int, step: Int) -> ResultMessage {
    ResultMessage(
      attempt: step, lossSum: 0, tokens: 1, seconds: 0,
      gradients: tiers.map { tier in
        TierGradient(
          tier: tier, microBatch: g, floats: Self.gradient(WindowKey(tier: tier, microBatch: g), step: step))
      })
  }

  /// What comes with a step. A gradient that is sent by itself may come much later, behind those of later steps; by a
  /// flush, or the tier's boundary, everything has come: one by one, as a copy of the chain, or, at a boundary, as the
  /// sum over micro-batches 0 and 1.
  mutating func arrivals(step: Int, isFlush: Bool, _ random: inout SplitMix64) -> [Arrival] {
    var now: [Arrival] = []
    for tier in 0..<3 {
      let isBoundary = clock.isBoundary(tier: tier, step: step)
      let isSummed = isBoundary && Bool.random(using: &random)
      if isSummed { now.append(sum(tier: tier, step: step)) }
      for g in 0..<Self.count {
        let key = WindowKey(tier: tier, microBatch: g)
        let separate = Arrival(
          message: separate([tier], g, step: step), node: TreeNode(level: 0, index: g), step: step)
        late[key, default: []].append(separate)
        let isDue = isFlush || (isBoundary && !(isSummed && g < 2))
        if isDue && Bool.random(using: &random) {
          now.append(copy(key, step: step))
        } else if isDue || Bool.random(using: &random) {
          now += late[key] ?? []
        } else {
          continue
        }
        late[key] = []
      }
      if isBoundary { for g in 0..<Self.count { late[WindowKey(tier: tier, microBatch: g)] = [] } }
    }
    return now.shuffled(using: &random)
  }

  /// A chain through a step, by its definition: the window's gradients in step order.
  private func chain(_ key: WindowKey, step: Int) -> [Float] {
    let first = clock.start(tier: key.tier, step: step)
    return (first..<step).reduce(Self.gradient(key, step: first)) { sum, previous in
      zip(sum, Self.gradient(key, step: previous + 1)).map { $0 + $1 }
    }
  }

  private func copy(_ key: WindowKey, step: Int) -> Arrival {
    let chain = WindowChain(tier: key.tier, microBatch: key.microBatch, floats: chain(key, step: step))
    let report = WindowReport(
      tier: key.tier, microBatch: key.microBatch, first: clock.start(tier: key.tier, step: step), last: step,
      chain: chain.values.sha256, gradient: nil)
    let message = ResultMessage(
      attempt: step, lossSum: 0, tokens: 1, seconds: 0, gradients: [], chains: [chain], windows: [report])
    return Arrival(message: message, node: TreeNode(level: 0, index: key.microBatch), step: step)
  }

  private func sum(tier: Int, step: Int) -> Arrival {
    let chains = (0..<2).map { chain(WindowKey(tier: tier, microBatch: $0), step: step) }
    let message = ResultMessage(
      attempt: step, lossSum: 0, tokens: 1, seconds: 0,
      gradients: [TierGradient(tier: tier, floats: zip(chains[0], chains[1]).map { $0 + $1 })])
    return Arrival(message: message, node: TreeNode(level: 1, index: 0), step: step)
  }
}
