import Harness
import NestedLearning
import Testing
import WireProtocol

@testable import Coordination

/// What is looked at after each message, held to a look at everything.
@Suite struct OpenUnitTests {
  /// Shards get done in any order, and now and then one is not done any more, as when its word is void.
  @Test(arguments: [1, 2, 7, 64]) func doneOnceAllShardsAre(count: Int) {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SplitMix64(seed: seed)
    let work = WorkUnit(purpose: .train, step: 1, leafCount: count, dueTiers: [0])
    var unit = OpenUnit(unit: work, opened: .zero)
    let isDoneUncut = unit.isDone()
    #expect(!isDoneUncut)
    unit.shards = (0..<count).map {
      ShardProgress(unit: work, shard: Shard(node: TreeNode(level: 0, index: $0), tiers: [0]), versions: [])
    }
    var timesDone = 0
    for _ in 0..<100 * count {
      let place = Int.random(in: 0..<count, using: &random)
      unit.shards[place].isGivenUp = Int.random(in: 0..<2 * count, using: &random) > 0
      let expected = unit.shards.allSatisfy(\.isDone)
      timesDone += expected ? 1 : 0
      let isDone = unit.isDone()
      #expect(isDone == expected, "seed \(seed)")
    }
    #expect(timesDone > 0, "seed \(seed)")
  }
}
