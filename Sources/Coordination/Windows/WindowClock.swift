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
  private struct Period: Sendable, Equatable {
    let frequency: Int
    let phase: Int
    /// The first step that its gradients are of use at.
    let first: Int
  }

  private let periods: [Period]

  public init(_ tiers: [Tier]) {
    self.init(
      frequencies: tiers.map(\.frequency), phases: tiers.map(\.phase), firsts: tiers.map(\.firstStep))
  }

  /// - Parameters:
  ///   - frequencies: steps between updates, by tier; at least 1.
  ///   - phases: of the same tiers; 0 where there are none.
  ///   - firsts: the first steps of their first windows; 1 where there are none.
  public init(frequencies: [Int], phases: [Int] = [], firsts: [Int] = []) {
    periods = frequencies.enumerated().map { tier, frequency in
      Period(
        frequency: max(1, frequency), phase: phases.indices.contains(tier) ? phases[tier] : 0,
        first: firsts.indices.contains(tier) ? max(1, firsts[tier]) : 1)
    }
  }

  public var tierCount: Int { periods.count }

  /// Whether a step (1-based) ends a window of the tier.
  public func isBoundary(tier: Int, step: Int) -> Bool {
    guard periods.indices.contains(tier), step >= periods[tier].first else { return false }
    return (step - periods[tier].phase) % periods[tier].frequency == 0
  }

  /// The first step of the window that `step` belongs to; of steps before a tier's first window, that of the latter.
  public func start(tier: Int, step: Int) -> Int {
    guard periods.indices.contains(tier) else { return 1 }
    let (frequency, phase) = (periods[tier].frequency, periods[tier].phase)
    let sinceBoundary = ((step - 1 - phase) % frequency + frequency) % frequency
    return max(periods[tier].first, step - sinceBoundary)
  }
}
