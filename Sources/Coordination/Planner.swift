import NestedLearning
import Protocol

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
  ///   - lastLevel: that of the nodes of the last step, if it is to be kept where another is no faster.
  public static func shards(
    of unit: WorkUnit, workers: Int, tierParameterCounts: [Int], byTier: Bool = false, lastLevel: Int? = nil
  ) -> [Shard] {
    let workers = max(1, workers)
    let level = level(of: unit, workers: workers, lastLevel: lastLevel)
    let nodes = ReductionTree.nodes(level: level, count: unit.leafCount)
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
  /// Of equal ones that of the last step, else the highest, which has the fewest sums to send.
  static func level(of unit: WorkUnit, workers: Int, lastLevel: Int? = nil) -> Int {
    var best = (level: 0, rounds: Int.max)
    var level = 0
    while true {
      let size = 1 << level
      let nodes = (unit.leafCount + size - 1) / size
      let rounds = (nodes + workers - 1) / workers * min(size, unit.leafCount)
      if rounds < best.rounds || rounds == best.rounds && best.level != lastLevel { best = (level, rounds) }
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

/// How the last step of windows was cut. Workers keep chains by node, and with nodes of another level all of them have to
/// be collected; a cut that is no faster, but has fewer sums to send, is worth that only if it lasts.
struct LastCut: Sendable, Equatable {
  /// For how many steps a level is kept.
  static let patience = 64

  private var level: Int?
  /// Steps since another level has become the better one.
  private var kept = 0

  func levelToKeep(for unit: WorkUnit) -> Int? {
    unit.purpose == .train && unit.window && kept < Self.patience ? level : nil
  }

  mutating func was(_ shards: [Shard], best: Int, of unit: WorkUnit) {
    guard unit.purpose == .train, unit.window else { return }
    level = shards.first?.node.level
    kept = level == best ? 0 : kept + 1
  }
}
