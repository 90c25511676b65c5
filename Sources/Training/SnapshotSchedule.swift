/// When a snapshot is due: as often as it can be for at most 2 % of the time, and at least every 1000 steps. When
/// they are taken changes no bit of the result, only how much a crash costs.
///
/// All seconds that were spent on snapshots count, also on those that a replay or the end of a run asked for, so that
/// the share holds over the run as a whole. It takes the time from the caller.
package struct SnapshotSchedule: Sendable {
  /// Of the time since the coordinator began.
  static let share = 0.02
  package static let mostSteps = 1000

  private let began: Double
  package private(set) var lastStep: Int
  package private(set) var spent = 0.0
  /// What the next one is expected to cost.
  package private(set) var expected: Double

  /// - Parameters:
  ///   - now: seconds on a monotonic clock.
  ///   - bytes: what a snapshot will hold at most; a guess of its cost until there is a measured one.
  package init(step: Int, bytes: Int, now: Double) {
    began = now
    lastStep = step
    expected = 0.02 + Double(bytes) / 100e6
  }

  package func isDue(after step: Int, now: Double) -> Bool {
    step > lastStep
      && (step - lastStep >= Self.mostSteps || spent + expected <= Self.share * (now - began))
  }

  /// - Parameter seconds: how long the run stood still for it.
  package mutating func wrote(step: Int, seconds: Double) {
    lastStep = step
    spent += seconds
    expected = seconds
  }

  /// The run went back, and goes on from here.
  package mutating func rollBack(to step: Int) { lastStep = step }
}
