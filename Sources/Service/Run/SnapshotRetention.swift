import Ledger

/// Which snapshots stay: the last two, and for going back up to four older ones, each at least twice as far back as
/// the one before it. These only as long as all that stay hold at most 1 GiB. And those of the steps of checkpoints that
/// are kept, whatever they hold: the run can go back to these by hand.
package enum SnapshotRetention {
  static let newest = 2
  static let older = 4
  static let bytes = 1 << 30

  /// - Parameters:
  ///   - records: newest first.
  ///   - checkpoints: the steps of the numbered checkpoints that are kept.
  package static func kept(
    _ records: [SnapshotRecord], checkpoints: some Collection<Int> = []
  ) -> [SnapshotRecord] {
    let steps = Set(thinnedOut(records).map(\.step)).union(checkpoints)
    return records.filter { steps.contains($0.step) }
  }

  private static func thinnedOut(_ records: [SnapshotRecord]) -> [SnapshotRecord] {
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
