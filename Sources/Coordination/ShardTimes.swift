import Protocol

/// How long shards take, and from that how long one may take.
struct ShardTimes: Sendable {
  /// The last so many times make the median.
  static let window = 65

  /// Seconds of each shard per micro-batch, by purpose, the oldest first.
  private var samples: [Purpose: [Double]] = [:]

  mutating func add(seconds: Double, microBatches: Int, purpose: Purpose) {
    var kept = samples[purpose, default: []]
    if kept.count == Self.window { kept.removeFirst() }
    kept.append(seconds / Double(max(1, microBatches)))
    samples[purpose] = kept
  }

  /// The median time of a micro-batch; nil before the first shard.
  func median(_ purpose: Purpose) -> Double? {
    guard let sorted = samples[purpose]?.sorted(), !sorted.isEmpty else { return nil }
    return sorted[sorted.count / 2]
  }

  /// The lease of a shard, in seconds. Doubled for every time that the shard has failed, so that one which simply
  /// takes longer than the others is given the time that it needs.
  func lease(microBatches: Int, purpose: Purpose, failures: Int, settings: CoordinatorSettings) -> Double {
    let doubling = Double(1 << min(max(failures, 0), 8))
    guard let median = median(purpose) else { return settings.initialLeaseSeconds * doubling }
    let usual = settings.leaseMedianFactor * median * Double(microBatches)
    return max(settings.leaseFloorSeconds, usual) * doubling
  }
}
