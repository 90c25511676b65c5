/// What of windows has to be here before a step can be applied or a snapshot written.
public struct WindowRequest: Sendable, Hashable {
  /// Ascending.
  public let tiers: [Int]
  /// The step that their windows have to be here through.
  public let through: Int
  /// By step: the tier versions that it was computed with, as far as they are kept.
  public let versions: [Int: [TierVersion]]

  public init(tiers: [Int], through: Int, versions: [Int: [TierVersion]]) {
    self.tiers = tiers
    self.through = through
    self.versions = versions
  }
}

extension ShardScheduler {
  /// Opens a unit that brings some of what windows lack: first what workers keep, then what is lost, computed again.
  /// Says so if nothing is missing, or if something cannot be had any more.
  mutating func complete(_ request: WindowRequest, now: Instant) {
    guard failure == nil, open == nil else {
      return stop("windows were to be completed while \(openName) was computed", now: now)
    }
    guard let windows else { return conclude(.windowsComplete(oldestStep: request.through + 1)) }
    let gaps = windows.gaps(tiers: request.tiers, through: request.through)
    guard !gaps.isEmpty else {
      return conclude(.windowsComplete(oldestStep: windows.oldestStep(after: request.through)))
    }
    if !gaps.collect.isEmpty {
      begin(gaps.collectUnit(step: request.through, microBatchCount: windows.microBatchCount), now: now)
    } else if let unit = gaps.recomputeUnit(
      microBatchCount: windows.microBatchCount, versions: { request.versions[$0] })
    {
      log("What is lost of steps \(gaps.recompute.keys.sorted()) is computed again")
      begin(unit, now: now)
    } else {
      conclude(.windowsLost)
    }
  }

  /// A unit that nobody is there to compute is closed, once the run has no time to wait for workers.
  mutating func leaveUnitIfStranded(now: Instant) {
    guard isHurried, let unit = open?.unit, usableWorkers.isEmpty else { return }
    abandonUnit(now: now)
    conclude(.unitLeft(unit))
  }
}
