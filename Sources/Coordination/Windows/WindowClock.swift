import NestedLearning
import WireProtocol

/// One tier's sums of one micro-batch index.
public struct WindowKey: Sendable, Hashable, Comparable {
  public let tier: Int
  public let microBatch: Int

  public init(tier: Int, microBatch: Int) {
    self.tier = tier
    self.microBatch = microBatch
  }

  public static func < (a: WindowKey, b: WindowKey) -> Bool {
    (a.tier, a.microBatch) < (b.tier, b.microBatch)
  }
}

extension [WindowReport] {
  /// Of two reports of one window the first counts; results with two are refused.
  var byKey: [WindowKey: WindowReport] {
    Dictionary(
      map { (WindowKey(tier: $0.tier, microBatch: $0.microBatch), $0) },
      uniquingKeysWith: { first, _ in first })
  }
}

/// When the windows of tiers begin and end: a window is the steps after an update up to the next one, included.
public struct WindowClock: Sendable, Equatable {
  private struct TierWindows: Sendable, Equatable {
    let clock: TierClock
    /// The first step that its gradients are of use at.
    let first: Int
  }

  private let tiers: [TierWindows]

  public init(_ tiers: [Tier]) {
    self.tiers = tiers.map { TierWindows(clock: $0.clock, first: max(1, $0.firstStep)) }
  }

  /// - Parameters:
  ///   - frequencies: steps between updates, by tier; at least 1.
  ///   - phases: of the same tiers; 0 where there are none.
  ///   - firsts: the first steps of their first windows; 1 where there are none.
  public init(frequencies: [Int], phases: [Int] = [], firsts: [Int] = []) {
    tiers = frequencies.enumerated().map { tier, frequency in
      TierWindows(
        clock: TierClock(frequency: frequency, phase: phases.indices.contains(tier) ? phases[tier] : 0),
        first: firsts.indices.contains(tier) ? max(1, firsts[tier]) : 1)
    }
  }

  public var tierCount: Int { tiers.count }

  /// Whether a step (1-based) ends a window of the tier.
  public func isBoundary(tier: Int, step: Int) -> Bool {
    guard tiers.indices.contains(tier), step >= tiers[tier].first else { return false }
    return tiers[tier].clock.isBoundary(step)
  }

  /// The first step of the window that `step` belongs to; of steps before a tier's first window, that of the latter.
  public func start(tier: Int, step: Int) -> Int {
    guard tiers.indices.contains(tier) else { return 1 }
    return max(tiers[tier].first, tiers[tier].clock.windowStart(of: step))
  }
}
