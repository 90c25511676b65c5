import WireProtocol

/// How long shards take, and from that how long one may take.
struct ShardTimes: Sendable {
  /// The last so many times make the median.
  static let window = 65

  /// Seconds of each shard per micro-batch, by purpose, the oldest first.
  private var samples: [Purpose: [Double]] = [:]
  /// Seconds of each step of a computation, the oldest first.
  private var steps: [Double] = []

  /// - Parameter progress: steps of the computation; 0 if they were not counted.
  mutating func add(seconds: Double, microBatches: Int, progress: Int, purpose: Purpose) {
    Self.keep(seconds / Double(max(1, microBatches)), in: &samples[purpose, default: []])
    if progress > 0 { Self.keep(seconds / Double(progress), in: &steps) }
  }

  private static func keep(_ sample: Double, in samples: inout [Double]) {
    if samples.count == window { samples.removeFirst() }
    samples.append(sample)
  }

  /// How long a shard takes usually, in seconds; nil before the first of its purpose.
  func usual(microBatches: Int, purpose: Purpose) -> Double? {
    median(purpose).map { $0 * Double(max(1, microBatches)) }
  }

  /// A worker that makes no progress for so long hangs, in seconds.
  func stallLimit(settings: SchedulerSettings) -> Double {
    guard !steps.isEmpty else { return max(settings.initialStallSeconds, settings.stallFloorSeconds) }
    return max(settings.stallFloorSeconds, settings.stallStepFactor * steps.sorted()[steps.count / 2])
  }

  /// The median time of a micro-batch; nil before the first shard.
  func median(_ purpose: Purpose) -> Double? {
    guard let sorted = samples[purpose]?.sorted(), !sorted.isEmpty else { return nil }
    return sorted[sorted.count / 2]
  }

  /// The lease of a shard, in seconds. Doubled for every time that the shard has failed, so that one which simply
  /// takes longer than the others is given the time that it needs; 16 times as long is enough to tell.
  func lease(microBatches: Int, purpose: Purpose, failures: Int, settings: SchedulerSettings) -> Double {
    let doubling = Double(1 << min(max(failures, 0), 4))
    guard let median = median(purpose) else { return settings.initialLeaseSeconds * doubling }
    let usual = settings.leaseMedianFactor * median * Double(microBatches)
    return max(settings.leaseFloorSeconds, usual) * doubling
  }
}
