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

/// A value behind a reference is a value.
@Suite struct IndirectTests {
  private struct Holder {
    @Indirect var numbers: [Int]
  }

  @Test func aCopyDoesNotFollow() {
    var first = Holder(numbers: [1])
    var second = first
    second.numbers.append(2)
    first.numbers.append(3)
    #expect(first.numbers == [1, 3] && second.numbers == [1, 2])
  }

  /// Whoever holds it alone changes it where it is: else each event would copy a whole scheduler.
  @Test func aloneItIsChangedInPlace() {
    var holder = Holder(numbers: Array(repeating: 0, count: 1000))
    let address = holder.numbers.withUnsafeBufferPointer(\.baseAddress)
    for place in holder.numbers.indices { holder.numbers[place] = place }
    #expect(holder.numbers.withUnsafeBufferPointer(\.baseAddress) == address)
  }
}
