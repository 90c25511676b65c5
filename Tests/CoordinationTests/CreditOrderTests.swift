import Harness
import NestedLearning
import Testing

@testable import Coordination

/// Which results may come: never more at once than the budget has room for, and always one, whatever is late. The
/// reference for what is held is a plain set of sums that are merged when both halves are there.
@Suite struct CreditOrderTests {
  private static func order(count: Int, level: Int = 0, minimum: Int = 0) -> CreditOrder? {
    let shards = ReductionTree.nodes(level: level, count: count).map { Shard(node: $0, tiers: [0]) }
    return CreditOrder(shards, leafCount: count, tierBytes: [1], minimum: minimum)
  }

  /// Sums over what is here, merged as far as they go.
  private static func sums(_ here: Set<Int>, count: Int) -> Int {
    func sums(_ node: TreeNode) -> Int {
      let leaves = node.leaves(count: count)
      if leaves.allSatisfy(here.contains) { return 1 }
      return node.level == 0
        ? 0 : sums(node.left) + (node.right.leaves(count: count).isEmpty ? 0 : sums(node.right))
    }
    return sums(TreeNode.root(count: count))
  }

  private static func levels(_ count: Int) -> Int { TreeNode.root(count: count).level }

  /// Any number of workers, any order of offers and arrivals, results that are lost on their way and come again, and sums
  /// that are made in the order of arrival, but late: what is held is what the reference says and within ⌈log₂ n⌉ + 2,
  /// and it goes on to the end whenever everybody has offered.
  ///
  /// Found by it: a result that was lost on its way left more sums than could be completed within the budget.
  @Test(arguments: [5_249_740_007_275_962_489, UInt64.random(in: 0...UInt64.max)])
  func anyOrderStaysWithinTheBudget(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    for round in 0..<400 {
      let count = Int.random(in: 1...70, using: &random)
      var order = try #require(Self.order(count: count))
      #expect(order.budget <= Self.levels(count) + 2, "seed \(seed)")
      var toOffer = Array(0..<count).shuffled(using: &random)
      var offered: [Int] = []
      var open: [Int] = []
      var here = Set<Int>()
      var added = Set<Int>()
      var toAdd: [Int] = []
      // Some hand in nothing until all others wait.
      let isPatient = round % 2 == 0
      while here.count < count {
        let place = offered.sorted().first { order.mayOpen($0) }
        if let place, Int.random(in: 0..<3, using: &random) > 0 || toOffer.isEmpty {
          offered.removeAll { $0 == place }
          open.append(place)
          order.set(place, .open)
        } else if !open.isEmpty, Int.random(in: 0..<3, using: &random) > 0 {
          let place = open.remove(at: Int.random(in: open.indices, using: &random))
          if Int.random(in: 0..<10, using: &random) == 0 {
            order.set(place, .absent)
            toOffer.append(place)
          } else {
            _ = order.came(place, attempt: place)
            here.insert(place)
            toAdd.append(place)
          }
        } else if !toAdd.isEmpty, Int.random(in: 0..<3, using: &random) > 0 {
          let place = toAdd.removeFirst()
          order.added(place)
          added.insert(place)
        } else if let next = toOffer.popLast() {
          offered.append(next)
        } else if open.isEmpty, toAdd.isEmpty, !isPatient || place == nil {
          try #require(place != nil, "seed \(seed), round \(round): nothing may come of \(offered)")
        }
        let held = Self.sums(added, count: count) + toAdd.count + open.count
        #expect(held <= order.budget, "seed \(seed), round \(round)")
      }
      #expect(Self.sums(here, count: count) == 1)
    }
  }

  /// While one shard is late, whichever it is, a third of the others come at least, in ascending order, and of three all.
  @Test(arguments: [2, 3, 7, 8, 33, 64]) func oneThatIsLate(count: Int) throws {
    for late in 0..<count {
      var order = try #require(Self.order(count: count))
      var came = 0
      for place in 0..<count where place != late && order.mayOpen(place) {
        order.set(place, .open)
        order.set(place, .here)
        came += 1
      }
      #expect(came >= (count <= 3 ? count - 1 : count / 3), "\(came) of \(count) while \(late) is late")
      #expect(order.mayOpen(late))
    }
  }

  /// Two that are on their way beside each other, at least, in ascending order.
  @Test func twoAtOnce() throws {
    var order = try #require(Self.order(count: 64))
    for place in 0..<63 {
      if place == 0 { order.set(0, .open) }
      #expect(order.mayOpen(place + 1), "\(place)")
      order.set(place + 1, .open)
      order.set(place, .here)
    }
  }

  /// Small results may all come at once.
  @Test func minimum() throws {
    var order = try #require(Self.order(count: 50, minimum: 60))
    for place in (0..<50).reversed() {
      #expect(order.hasRoom && order.mayOpen(place))
      order.set(place, .open)
    }
  }

  /// What shares a sum, and is gone with one of its parts.
  @Test func sharedSums() throws {
    var order = try #require(Self.order(count: 7))
    for place in [0, 1, 2, 3, 4, 6] { order.set(place, .here) }
    #expect(order.sharingSum(with: 2) == [0, 1, 2, 3])
    #expect(order.sharingSum(with: 4) == [4])
    #expect(order.sharingSum(with: 6) == [6])
    #expect(order.sharingSum(with: 5) == [])
    order.set(5, .here)
    #expect(order.sharingSum(with: 6) == [0, 1, 2, 3, 4, 5, 6])
    for place in 0..<7 { order.set(place, .absent) }
    #expect(order.sharingSum(with: 0) == [])
    #expect(order.mayOpen(0))
  }

  /// Shards of different tiers make up trees of their own, each weighed by its bytes; what is no tree has no order.
  @Test func groups() throws {
    let shards = (0..<4).flatMap { leaf in
      [[0], [1, 2]].map { Shard(node: TreeNode(level: 0, index: leaf), tiers: $0) }
    }
    let order = try #require(CreditOrder(shards, leafCount: 4, tierBytes: [1, 10, 20], minimum: 0))
    #expect(order.budget == 4 * 31)
    #expect(CreditOrder(Array(shards.dropLast()), leafCount: 4, tierBytes: [1, 10, 20], minimum: 0) == nil)
    #expect(CreditOrder(shards + [shards[0]], leafCount: 4, tierBytes: [1, 10, 20], minimum: 0) == nil)
    let whole = Shard(node: TreeNode(level: 2, index: 0), tiers: [0])
    #expect(CreditOrder(shards + [whole], leafCount: 4, tierBytes: [1, 10, 20], minimum: 0) == nil)
  }
}
