import Coordination
import Digests
import WireProtocol

@testable import Service

/// A worker's chains, and beside them what DESIGN makes of the same gradients, in plain scalar arithmetic: a chain is
/// the window's gradients in step order, ((g₁ + g₂) + g₃) + …; a node's sum is its left half's plus its right half's,
/// and where there is no right half, the left one as it is.
struct ChainScene {
  /// Values of each tier.
  static let sizes = [3, 2]

  let leafCount: Int
  var chains = WorkerChains()

  init(leafCount: Int) { self.leafCount = leafCount }

  /// Numbers of very different sizes, so that every other order of adding gives other bits.
  static func gradient(_ key: WindowKey, step: Int) -> [Float] {
    (0..<sizes[key.tier]).map { i in
      let n = step * 31 + key.microBatch * 17 + key.tier * 5 + i * 7
      let powers: [Float] = [1, 3e4, 7e-4, 1e7]
      return Float(n % 23 - 11) / 9 * powers[n % 4]
    }
  }

  static func added(_ a: [Float], _ b: [Float]) -> [Float] { zip(a, b).map { $0 + $1 } }

  static func chain(_ key: WindowKey, _ steps: ClosedRange<Int>) -> [Float] {
    steps.dropFirst().reduce(gradient(key, step: steps.lowerBound)) { added($0, gradient(key, step: $1)) }
  }

  /// The sum of a tier's chains over a range of 2^level micro-batches, or what there is of it.
  func sum(tier: Int, from first: Int, level: Int, _ steps: ClosedRange<Int>) -> [Float] {
    guard level > 0 else { return Self.chain(WindowKey(tier: tier, microBatch: first), steps) }
    let left = sum(tier: tier, from: first, level: level - 1, steps)
    let middle = first + 1 << (level - 1)
    guard middle < leafCount else { return left }
    return Self.added(left, sum(tier: tier, from: middle, level: level - 1, steps))
  }

  /// The order to go on from the chain over these steps.
  static func proceed(_ key: WindowKey, _ steps: ClosedRange<Int>) -> ChainOrder {
    .proceed(sha256: Digest.sha256(floats: chain(key, steps)))
  }

  func message(
    step: Int, level: Int = 0, index: Int = 0, purpose: Purpose = .train, _ orders: [WindowOrder]
  ) -> AssignMessage {
    AssignMessage(
      attempt: 1, purpose: purpose, step: step, leafCount: leafCount, level: level, index: index,
      tiers: orders.map(\.tier), window: true, stepTokens: 1, windows: orders, parameterVersions: [0, 0],
      microBatches: [])
  }

  /// A step's gradients are computed, and the worker does with them what the orders say.
  @discardableResult
  mutating func run(
    step: Int, level: Int = 0, index: Int = 0, _ orders: [WindowOrder]
  ) throws -> WorkerChains.Outcome {
    let message = message(step: step, level: level, index: index, orders)
    let gradients = message.chainOrders.map { ($0.key, Self.gradient($0.key, step: step)) }
    return try chains.add(Dictionary(gradients) { first, _ in first }, message)
  }

  /// Tier 1 of one micro-batch: a window that a worker goes through by itself, from its first step to its last.
  mutating func goOn(_ key: WindowKey, _ steps: ClosedRange<Int>) throws {
    for step in steps {
      let order = step == steps.lowerBound ? .start : Self.proceed(key, steps.lowerBound...(step - 1))
      try run(
        step: step, index: key.microBatch, [WindowOrder(tier: key.tier, returns: .none, chains: [order])])
    }
  }

  /// What the worker has of a chain, if it has one with this digest.
  func kept(_ key: WindowKey, _ order: ChainOrder, through step: Int) throws -> [Float]? {
    let orders = [WindowOrder(tier: key.tier, returns: .copy, chains: [order])]
    let message = message(step: step, index: key.microBatch, purpose: .collect, orders)
    return try chains.collect(message).chains.first?.values.floats()
  }
}
