import NestedLearning
import WireProtocol

/// Cuts a unit of work into shards. What a cut changes is time, never a bit of the sum: every shard is a node of the
/// same reduction tree.
public enum Planner {
  /// Micro-batches in one shard at most, so that a lost shard costs little and messages stay small.
  public static let maximumMicroBatches = 256
  /// Gradients in one result at most.
  public static let maximumGradients = 4096

  /// Shards that cover every (micro-batch, due tier) once, ordered by first micro-batch, then first tier.
  ///
  /// - Parameters:
  ///   - workers: how many can compute at the same time; at least one is assumed.
  ///   - tierParameterCounts: the weight of each tier when a node's tiers are divided.
  ///   - byTier: give every due tier a shard of its own.
  public static func shards(
    of unit: WorkUnit, workers: Int, tierParameterCounts: [Int], byTier: Bool = false
  ) -> [Shard] {
    let workers = max(1, workers)
    let nodes = ReductionTree.nodes(level: level(of: unit, workers: workers), count: unit.leafCount)
    let tiers = unit.purpose == .train ? unit.dueTiers : []
    var groupCount = 1
    if byTier {
      groupCount = tiers.count
    } else if workers > unit.leafCount, !nodes.isEmpty {
      groupCount = min(tiers.count, (workers + nodes.count - 1) / nodes.count)
    }
    let groups = groups(of: tiers, count: groupCount, weights: tierParameterCounts)
    return nodes.flatMap { node in groups.map { Shard(node: node, tiers: $0) } }
  }

  /// The level whose nodes are done first: ⌈nodes / workers⌉ rounds of 2^j micro-batches (no more than there are).
  /// Of equal ones the highest, which has the fewest sums to send.
  static func level(of unit: WorkUnit, workers: Int) -> Int {
    var best = (level: 0, rounds: Int.max)
    var level = 0
    while true {
      let size = 1 << level
      let nodes = (unit.leafCount + size - 1) / size
      let rounds = (nodes + workers - 1) / workers * min(size, unit.leafCount)
      if rounds <= best.rounds { best = (level, rounds) }
      let next = size * 2
      let gradients = unit.window ? next * unit.dueTiers.count : 0
      guard size < unit.leafCount, next <= maximumMicroBatches, gradients <= maximumGradients else { break }
      level += 1
    }
    return best.level
  }

  /// Divides tiers into groups of nearly equal weight: the heaviest first, each to the lightest group so far.
  static func groups(of tiers: [Int], count: Int, weights: [Int]) -> [[Int]] {
    guard count > 1, tiers.count > 1 else { return [tiers] }
    func weight(_ tier: Int) -> Int { weights.indices.contains(tier) ? weights[tier] : 0 }
    var groups = [(weight: Int, tiers: [Int])](repeating: (0, []), count: min(count, tiers.count))
    for tier in tiers.sorted(by: { (weight($1), $0) < (weight($0), $1) }) {
      let lightest = groups.indices.min {
        (groups[$0].weight, groups[$0].tiers.count) < (groups[$1].weight, groups[$1].tiers.count)
      }
      guard let lightest else { continue }
      groups[lightest].weight += weight(tier)
      groups[lightest].tiers.append(tier)
    }
    return groups.map { $0.tiers.sorted() }.sorted { ($0.first ?? 0) < ($1.first ?? 0) }
  }
}
