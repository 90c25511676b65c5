import Coordination

/// Parameters of past steps, as long as a window may need one of those computed again. Versions that several steps
/// share are kept once.
package struct ParameterHistory {
  /// What is kept at most before windows are flushed, in bytes.
  package static let limit = 256 << 20

  private var values: [Int: [Int: TierValues]] = [:]
  private var steps: [Int: [TierVersion]] = [:]
  package private(set) var bytes = 0

  package init() {}

  /// Keeps what a step is computed with.
  package mutating func keep(_ tiers: [TierValues], step: Int) {
    steps[step] = tiers.map { TierVersion(version: $0.version, digest: $0.digest) }
    for tier in tiers where values[tier.tier]?[tier.version] == nil {
      values[tier.tier, default: [:]][tier.version] = tier
      bytes += tier.values.byteCount
    }
  }

  /// Forgets steps before this one.
  package mutating func forget(before step: Int) {
    steps = steps.filter { $0.key >= step }
    for (tier, versions) in values {
      let needed = Set(steps.values.compactMap { $0.indices.contains(tier) ? $0[tier].version : nil })
      for (version, old) in versions where !needed.contains(version) {
        bytes -= old.values.byteCount
        values[tier]?[version] = nil
      }
    }
  }

  /// By step: what it was computed with, by tier.
  var versions: [Int: [TierVersion]] { steps }

  /// What a step was computed with, by tier; nil if it is not kept.
  package func versions(of step: Int) -> [TierVersion]? { steps[step] }

  package func values(tier: Int, version: Int) -> TierValues? { values[tier]?[version] }
}
