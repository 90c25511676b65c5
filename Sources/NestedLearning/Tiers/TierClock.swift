/// When a tier is updated: with one period after another, each in force from a boundary of the tier's own on.
///
/// A period changes only there, so that no window is ever cut: after boundary b the phase is b mod f of the new period f,
/// and the next updates are at b + f, b + 2f, …. A tier that is part of another one of the config from then on has the
/// period of that.
public struct TierClock: Sendable, Equatable {
  /// A period, the tier of the config whose period it is, and the steps that it is in force at.
  public struct Stretch: Sendable, Equatable {
    /// The last step (1-based) before it: 0, or a boundary of the stretch before.
    public let after: Int
    /// Steps between updates, f, at least 1.
    public let frequency: Int
    /// The step, modulo f, at which the tier is updated; 0 makes that steps f, 2f, ….
    public let phase: Int
    /// The tier of the config that the parameters are in.
    public let configTier: Int

    public init(after: Int, frequency: Int, phase: Int, configTier: Int = 0) {
      (self.after, self.frequency, self.phase, self.configTier) = (after, frequency, phase, configTier)
    }

    /// Steps from the last boundary at or before a step to that step.
    func sinceBoundary(_ step: Int) -> Int { ((step - phase) % frequency + frequency) % frequency }
  }

  /// In their order; at least one.
  public private(set) var stretches: [Stretch]

  public init(frequency: Int, phase: Int = 0, configTier: Int = 0) {
    stretches = [Stretch(after: 0, frequency: max(1, frequency), phase: phase, configTier: configTier)]
  }

  /// The newest, which may wait for a boundary.
  public var newest: Stretch { stretches[stretches.count - 1] }

  /// The one that is in force at a step (1-based).
  public func stretch(at step: Int) -> Stretch {
    guard stretches.count > 1 else { return stretches[0] }
    return stretches.last { $0.after < step } ?? stretches[0]
  }

  /// Whether a step (1-based) ends a window.
  public func isBoundary(_ step: Int) -> Bool { stretch(at: step).sinceBoundary(step) == 0 }

  /// The first boundary at a step or after it.
  public func boundary(from step: Int) -> Int {
    let stretch = stretch(at: step)
    let since = stretch.sinceBoundary(step)
    return since == 0 ? step : step + stretch.frequency - since
  }

  /// The first step of the window that a step is in, or what of it comes after step 0.
  public func windowStart(of step: Int) -> Int { max(1, step - stretch(at: step).sinceBoundary(step - 1)) }

  /// How many of these steps are boundaries.
  public func boundaries(in steps: ClosedRange<Int>) -> Int {
    stretches.indices.reduce(0) { count, place in
      let first = boundary(from: max(steps.lowerBound, stretches[place].after + 1))
      let end = place + 1 < stretches.count ? stretches[place + 1].after : Int.max
      let last = min(steps.upperBound, end)
      return first > last ? count : count + (last - first) / stretches[place].frequency + 1
    }
  }

  /// Takes another period: the present one stays until the window is closed that is open after the step before `step`.
  ///
  /// A period that still waits for its boundary is replaced, and never comes.
  public mutating func change(to frequency: Int, from step: Int) {
    dropWaiting(at: step)
    change(to: frequency, of: newest.configTier, after: boundary(from: step - 1))
  }

  /// Takes another period after a boundary of the newest one.
  ///
  /// - Parameter configTier: whose period it is.
  mutating func change(to frequency: Int, of configTier: Int, after boundary: Int) {
    let frequency = max(1, frequency)
    // With the same period the phase is the same.
    guard newest.frequency != frequency || newest.configTier != configTier else { return }
    stretches.append(
      Stretch(after: boundary, frequency: frequency, phase: boundary % frequency, configTier: configTier))
  }

  /// Forgets a period that is not in force at the step before `step`, and now never is.
  mutating func dropWaiting(at step: Int) {
    if stretches.count > 1, newest.after >= step - 1 { stretches.removeLast() }
  }

  /// Takes a stretch that a plan has, which was made in the order of the plans.
  ///
  /// - Parameter step: the first step of the plan.
  public mutating func follow(_ newest: Stretch, from step: Int) {
    dropWaiting(at: step)
    if newest != self.newest { stretches.append(newest) }
  }
}
