import NestedLearning
import Testing
import WireProtocol

@testable import Coordination

/// A plan covers every (micro-batch, tier) once, with nodes of the reduction tree.
@Suite struct PlannerTests {
  @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 13, 100, 1000]) func coversEverythingOnce(leaves: Int) {
    for workers in [1, 2, 3, 5, 8, 17, 300] {
      for tiers in [[], [0], [0, 2], [0, 1, 2, 3]] {
        for byTier in [false, true] {
          for purpose in Purpose.allCases {
            let unit = WorkUnit(
              purpose: purpose, step: 1, leafCount: leaves, dueTiers: tiers, window: leaves < 10)
            let shards = Planner.shards(
              of: unit, workers: workers, tierParameterCounts: [5, 1, 4, 2], byTier: byTier)
            let wanted = purpose == .train && !tiers.isEmpty ? tiers : [-1]
            let covered = shards.flatMap { shard in
              shard.node.leaves(count: leaves).flatMap { leaf in
                (shard.tiers.isEmpty ? [-1] : shard.tiers).map { [leaf, $0] }
              }
            }
            let all = (0..<leaves).flatMap { leaf in wanted.map { [leaf, $0] } }
            #expect(covered.sorted { $0.lexicographicallyPrecedes($1) } == all)
            #expect(
              shards.allSatisfy { $0.tiers == $0.tiers.sorted() && !$0.node.leaves(count: leaves).isEmpty })
          }
        }
      }
    }
  }

  /// Rounds of ⌈nodes / workers⌉ shards of 2^j micro-batches, counted by hand.
  @Test(arguments: [
    (1, 1, 0), (2, 1, 1), (3, 1, 2), (4, 1, 2), (4, 2, 1), (4, 3, 1), (4, 4, 0), (4, 5, 0), (8, 3, 0),
    (8, 2, 2),
    (6, 2, 0), (16, 3, 1), (200, 2, 2), (256, 1, 8), (1024, 1, 8),
  ]) func levels(leaves: Int, workers: Int, level: Int) {
    let unit = WorkUnit(purpose: .evaluate, step: 1, leafCount: leaves, dueTiers: [])
    #expect(Planner.level(of: unit, workers: workers) == level)
  }

  /// Tiers are divided only if there are more workers than micro-batches, and no further than they can use.
  @Test func tierGroups() {
    func tiers(_ leaves: Int, _ workers: Int, byTier: Bool = false) -> [[Int]] {
      let unit = WorkUnit(purpose: .train, step: 1, leafCount: leaves, dueTiers: [0, 1, 2])
      let shards = Planner.shards(of: unit, workers: workers, tierParameterCounts: [4, 3, 2], byTier: byTier)
      return shards.filter { $0.node.index == 0 }.map(\.tiers)
    }
    #expect(tiers(2, 2) == [[0, 1, 2]])
    #expect(tiers(2, 3) == [[0], [1, 2]])
    #expect(tiers(2, 5) == [[0], [1], [2]])
    #expect(tiers(2, 50) == [[0], [1], [2]])
    #expect(tiers(4, 1, byTier: true) == [[0], [1], [2]])
  }

  @Test func groupsAreBalanced() {
    #expect(Planner.groups(of: [0, 1, 2, 3], count: 2, weights: [10, 1, 6, 5]) == [[0, 1], [2, 3]])
    #expect(Planner.groups(of: [0, 1, 2], count: 5, weights: [0, 0, 0]) == [[0], [1], [2]])
    #expect(Planner.groups(of: [], count: 3, weights: []) == [[]])
  }

  @Test func instants() {
    #expect((Instant.zero + 1.5).description == "1.500s")
    #expect((Instant.zero + 1e30) == .never && Instant.never + 1 == .never)
    #expect((Instant.zero + 3).seconds(since: .zero + 1) == 2)
  }
}
