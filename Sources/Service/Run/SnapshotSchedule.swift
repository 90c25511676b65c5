import Ledger

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
  private(set) var spent = 0.0
  /// What the next one is expected to cost.
  private(set) var expected: Double

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

/// Which snapshots stay: the last two, and for going back up to four older ones, each at least twice as far back as
/// the one before it. These only as long as all that stay hold at most 1 GiB.
package enum SnapshotRetention {
  static let newest = 2
  static let older = 4
  static let bytes = 1 << 30

  /// - Parameter records: newest first.
  package static func kept(_ records: [SnapshotRecord]) -> [SnapshotRecord] {
    guard let last = records.first?.step else { return [] }
    var kept = Array(records.prefix(newest))
    var sum = kept.reduce(0) { $0 + $1.bytes }
    // Of those between one power of two and the next in age the oldest stays: it moves on to the next such range, where
    // it is the youngest, when that range's own has moved on too.
    let ranges = Dictionary(grouping: records.dropFirst(newest)) { Self.range(ofAge: last - $0.step) }
    for range in ranges.keys.sorted().prefix(older) {
      guard let oldest = ranges[range]?.last, sum + oldest.bytes <= bytes else { break }
      kept.append(oldest)
      sum += oldest.bytes
    }
    return kept
  }

  private static func range(ofAge age: Int) -> Int { Int.bitWidth - max(age, 1).leadingZeroBitCount }
}
