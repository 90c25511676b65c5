import NestedLearning
import Testing
import WireProtocol

@testable import Coordination

/// The book of windows by example. Two tiers, updated every step and every 4 steps, two micro-batches; the reference is
/// what DESIGN's rule for chains and owners makes of each case.
@Suite struct WindowTrackerTests {
  static let clock = WindowClock(frequencies: [1, 4])
  static let whole = Shard(node: TreeNode(level: 1, index: 0), tiers: [0, 1])
  static let left = Shard(node: TreeNode(level: 0, index: 0), tiers: [1])
  static let right = Shard(node: TreeNode(level: 0, index: 1), tiers: [1])

  static func book(step: Int = 0, alwaysSeparate: Bool = false) -> WindowTracker {
    WindowTracker(clock: clock, microBatchCount: 2, step: step, alwaysSeparate: alwaysSeparate)
  }

  /// Orders as one line: `0 sum start start | 1 none 3a …`.
  static func line(_ orders: [WindowOrder]) -> String {
    orders.map { order in
      let chains = order.chains.map {
        switch $0 {
        case .separate: "separate"
        case .start: "start"
        case .proceed(let sha256): sha256
        case .given: "given"
        case .skip: "skip"
        }
      }
      return ([order.tier.description, order.returns.rawValue] + chains).joined(separator: " ")
    }.joined(separator: " | ")
  }

  /// A worker does what the book says, and its result counts. Digests are `WORKER.STEP.G`.
  @discardableResult
  static func run(
    _ book: inout WindowTracker, _ shard: Shard, step: Int, worker: Int, flush: Bool = false,
    old: Bool = false
  ) -> String {
    let orders = book.orders(for: shard, step: step, isFlush: flush, worker: worker, mayHold: !old)
    book.took(
      orders, node: shard.node, step: step, worker: worker,
      reports: old ? [] : reports(orders, shard, step, worker))
    return line(orders)
  }

  static func reports(_ orders: [WindowOrder], _ shard: Shard, _ step: Int, _ worker: Int) -> [WindowReport] {
    orders.flatMap { order in
      zip(shard.node.leaves(count: 2), order.chains).map { g, chain in
        WindowReport(
          tier: order.tier, microBatch: g, first: 1, last: step,
          chain: chain.keepsChain ? "\(worker).\(step).\(g)" : nil, gradient: "g\(step).\(g)")
      }
    }
  }

  /// A tier plan begins at step 3, within the window of tier 1: its chains go on to the boundary at step 4, and then windows
  /// are those of the new periods. What is open stays open, and nothing is asked for twice.
  @Test func aPlanBeginsWithinAWindow() throws {
    var tiers = [1, 4].enumerated().map {
      Tier(index: $0, frequency: $1, phase: 0, parameters: ["p\($0)"], parameterCount: 1)
    }
    var book = Self.book()
    for step in 1...2 { Self.run(&book, Self.whole, step: step, worker: 7) }
    let before = book
    for (place, period) in [3, 2].enumerated() { tiers[place].follow(period, from: 3) }
    book.follow(WindowClock(tiers))
    for step in 1...2 {
      #expect(book.gaps(tiers: [1], through: step) == before.gaps(tiers: [1], through: step))
      #expect(book.oldestStep(after: step) == before.oldestStep(after: step))
    }
    #expect(Self.run(&book, Self.whole, step: 3, worker: 7) == "0 none start start | 1 none 7.2.0 7.2.1")
    #expect(Self.run(&book, Self.whole, step: 4, worker: 7) == "0 none 7.3.0 7.3.1 | 1 sum 7.3.0 7.3.1")
    #expect(book.gaps(tiers: [1], through: 4).isEmpty && book.oldestStep(after: 4) == 3)
    #expect(Self.run(&book, Self.whole, step: 5, worker: 7) == "0 sum 7.4.0 7.4.1 | 1 none start start")
    #expect(Self.run(&book, Self.whole, step: 6, worker: 7) == "0 none start start | 1 sum 7.5.0 7.5.1")
    #expect(
      book.gaps(tiers: [0, 1], through: 6).collect == [
        7: [
          WindowKey(tier: 0, microBatch: 0): "7.6.0", WindowKey(tier: 0, microBatch: 1): "7.6.1",
        ]
      ])
  }

  /// Nothing but the sums of boundaries travels: tier 0 every step, tier 1 every fourth.
  @Test func oneWorkerGoesOnFromItsOwnChains() {
    var book = Self.book()
    #expect(Self.run(&book, Self.whole, step: 1, worker: 7) == "0 sum start start | 1 none start start")
    #expect(Self.run(&book, Self.whole, step: 2, worker: 7) == "0 sum start start | 1 none 7.1.0 7.1.1")
    #expect(Self.run(&book, Self.whole, step: 3, worker: 7) == "0 sum start start | 1 none 7.2.0 7.2.1")
    #expect(book.gaps(tiers: [0], through: 3).isEmpty)
    #expect(book.oldestStep(after: 3) == 1)
    #expect(Self.run(&book, Self.whole, step: 4, worker: 7) == "0 sum start start | 1 sum 7.3.0 7.3.1")
    #expect(book.gaps(tiers: [0, 1], through: 4).isEmpty)
    #expect(book.oldestStep(after: 4) == 5)
    #expect(Self.run(&book, Self.whole, step: 5, worker: 7) == "0 sum start start | 1 none start start")
  }

  /// A flush returns copies; the owner goes on, and after its loss only what came since is missing.
  @Test func aFlushIsACopy() {
    var book = Self.book()
    Self.run(&book, Self.whole, step: 1, worker: 7)
    #expect(
      Self.run(&book, Self.whole, step: 2, worker: 7, flush: true)
        == "0 sum start start | 1 copy 7.1.0 7.1.1")
    #expect(book.oldestStep(after: 2) == 3)
    #expect(Self.run(&book, Self.whole, step: 3, worker: 7) == "0 sum start start | 1 none 7.2.0 7.2.1")
    #expect(book.oldestStep(after: 3) == 3)
    book.lost(worker: 7)
    let gaps = book.gaps(tiers: [1], through: 3)
    #expect(gaps.collect.isEmpty)
    #expect(gaps.recompute == [3: [WindowKey(tier: 1, microBatch: 0), WindowKey(tier: 1, microBatch: 1)]])
    #expect(book.recorded(WindowKey(tier: 1, microBatch: 1), step: 3)?.gradient == "g3.1")
    #expect(book.recorded(WindowKey(tier: 1, microBatch: 1), step: 2) == nil)
  }

  /// After a flush another worker may take over: it is given the chain.
  @Test func ownershipMovesWithAGivenChain() {
    var book = Self.book()
    Self.run(&book, Self.whole, step: 1, worker: 7, flush: true)
    #expect(Self.run(&book, Self.left, step: 2, worker: 8) == "1 none given")
    #expect(Self.run(&book, Self.right, step: 2, worker: 7) == "1 none 7.1.1")
    // The chain of micro-batch 0 is the new owner's now.
    #expect(Self.run(&book, Self.left, step: 3, worker: 7) == "1 none separate")
    #expect(book.chainsHeld(of: Self.right, step: 3, worker: 7) == 1)
    #expect(book.chainsHeld(of: Self.left, step: 3, worker: 8) == 1)
  }

  /// In the middle of a window, another worker's gradients wait for the owner's chain, which is collected when it is
  /// needed; and if the owner is lost before that, its steps are computed again.
  @Test func separateGradientsWaitForTheChain() {
    var book = Self.book()
    Self.run(&book, Self.left, step: 1, worker: 7)
    Self.run(&book, Self.left, step: 2, worker: 7)
    #expect(Self.run(&book, Self.left, step: 3, worker: 8) == "1 none separate")
    #expect(Self.run(&book, Self.left, step: 4, worker: 7) == "1 copy separate")
    Self.run(&book, Self.right, step: 4, worker: 8)
    let key = WindowKey(tier: 1, microBatch: 0)
    let other = WindowKey(tier: 1, microBatch: 1)
    var gaps = book.gaps(tiers: [1], through: 4)
    #expect(gaps.collect == [7: [key: "7.2.0"]])
    // Nobody ever computed micro-batch 1 of the first three steps.
    #expect(gaps.recompute == [1: [other], 2: [other], 3: [other]])
    var lost = book
    book.collected(key, through: 2)
    gaps = book.gaps(tiers: [1], through: 4)
    #expect(gaps.collect.isEmpty && gaps.recompute[1] == [other])
    lost.lost(worker: 7, shard: Self.left)
    gaps = lost.gaps(tiers: [1], through: 4)
    #expect(gaps.recompute == [1: [key, other], 2: [key, other], 3: [other]])
    for step in 1...2 { lost.recomputed(key, step: step) }
    for step in 1...3 { lost.recomputed(other, step: step) }
    #expect(lost.gaps(tiers: [1], through: 4).isEmpty)
  }

  /// A backup's gradient counts. The owner goes on if it has finished the step as well; otherwise its chain ends
  /// before it.
  @Test(arguments: [true, false]) func aBackupReturnsItsGradient(ownerFinished: Bool) {
    var book = Self.book()
    Self.run(&book, Self.left, step: 1, worker: 7)
    let owners = book.orders(for: Self.left, step: 2, isFlush: false, worker: 7, mayHold: true)
    let backups = book.orders(for: Self.left, step: 2, isFlush: false, worker: 8, mayHold: false)
    #expect(Self.line(owners) == "1 none 7.1.0" && Self.line(backups) == "1 none separate")
    book.took(
      backups, node: Self.left.node, step: 2, worker: 8, reports: Self.reports(backups, Self.left, 2, 8))
    if ownerFinished {
      book.alsoHolds(
        owners, node: Self.left.node, step: 2, worker: 7, reports: Self.reports(owners, Self.left, 2, 7))
      #expect(Self.run(&book, Self.left, step: 3, worker: 7) == "1 none 7.2.0")
    } else {
      #expect(Self.run(&book, Self.left, step: 3, worker: 7) == "1 none separate")
      #expect(
        book.gaps(tiers: [1], through: 3).collect == [7: [WindowKey(tier: 1, microBatch: 0): "7.1.0"]])
    }
  }

  /// A worker of an older version holds nothing, nor does anyone when every gradient is checked.
  @Test func someHoldNothing() {
    var book = Self.book()
    #expect(
      Self.run(&book, Self.whole, step: 1, worker: 7, old: true)
        == "0 copy separate separate | 1 none separate separate")
    #expect(book.gaps(tiers: [0, 1], through: 1).isEmpty)
    #expect(book.oldestStep(after: 1) == 2)
    var strict = Self.book(alwaysSeparate: true)
    #expect(
      Self.run(&strict, Self.whole, step: 1, worker: 7)
        == "0 copy separate separate | 1 none separate separate")
  }

  /// After a restart every chain is here, and is given to whoever computes next.
  @Test func aRestartBeginsWithItsSnapshot() {
    let book = Self.book(step: 6)
    #expect(book.gaps(tiers: [1], through: 6).isEmpty)
    let orders = book.orders(for: Self.whole, step: 7, isFlush: false, worker: 3, mayHold: true)
    #expect(Self.line(orders) == "0 sum start start | 1 none given given")
    // At a boundary the gradient alone is asked for: the chain need not travel twice.
    let last = Self.book(step: 7).orders(for: Self.whole, step: 8, isFlush: false, worker: 3, mayHold: true)
    #expect(Self.line(last) == "0 sum start start | 1 copy separate separate")
  }

  /// Windows as the scheduler cuts them: the steps after an update, up to the next one.
  @Test func clockFollowsTheScheduler() {
    let clock = WindowClock(frequencies: [1, 4, 3], phases: [0, 0, 2])
    let starts = (1...9).map { step in (0..<3).map { clock.start(tier: $0, step: step) } }
    #expect(
      starts == [
        [1, 1, 1], [2, 1, 1], [3, 1, 3], [4, 1, 3], [5, 5, 3], [6, 5, 6], [7, 5, 6], [8, 5, 6], [9, 9, 9],
      ])
    #expect((1...9).filter { clock.isBoundary(tier: 2, step: $0) } == [2, 5, 8])
  }
}
