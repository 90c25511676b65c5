import Foundation
import Harness
import NestedLearning
import Testing
import WireProtocol

@testable import Coordination

/// The book, the coordinator's sums and workers' chains together under random cuts, owners, backups, losses, restarts.
/// A gradient stands for itself, and a sum is the list of what was added, in order; the reference is the list that
/// ought to come out.
@Suite struct WindowModelTests {
  /// Fresh seeds at every run; NL_WINDOW_SEED repeats one.
  @Test func everyGradientIsAddedOnceAndInOrder() {
    let named = ProcessInfo.processInfo.environment["NL_WINDOW_SEED"].flatMap(UInt64.init)
    var random = SystemRandomNumberGenerator()
    var counts: [String: Int] = [:]
    for _ in 0..<(named == nil ? 300 : 1) {
      let seed = named ?? random.next()
      var model = WindowModel(seed: seed)
      model.run()
      #expect(model.problems.isEmpty, "seed \(seed): \(model.problems.prefix(3))")
      counts.merge(model.counts) { $0 + $1 }
    }
    guard named == nil else { return }
    for kind in [
      "proceeded", "given", "separate", "collected", "refused", "recomputed", "lost", "backup", "also holds",
      "silent", "restarted", "sum", "copy",
    ] {
      #expect(counts[kind, default: 0] > 20, "\(kind): \(counts[kind, default: 0])")
    }
    print("300 runs of the windows' model: \(counts.sorted { $0.key < $1.key })")
  }
}

private struct WindowModel {
  typealias Sum = [String]
  struct Owned {
    var last: Int
    var sum: Sum
    var digest: String { "\(last):" + sum.joined(separator: "+") }
  }

  var random: SplitMix64
  let clock: WindowClock
  let count: Int
  let tiers: [Int]
  let flushEvery: Int
  var book: WindowTracker
  var sums: WindowSums<Sum>
  var workers: [Int: [WindowKey: Owned]] = [:]
  var nextWorker = 1
  var problems: [String] = []
  var counts: [String: Int] = [:]

  init(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let frequencies = [1, Int.random(in: 1...5, using: &random), Int.random(in: 2...12, using: &random)]
    // Half of the seeds have first windows that are shorter than the others.
    let phases = frequencies.map { Int.random(in: 0..<$0, using: &random) }
    clock = WindowClock(frequencies: frequencies, phases: Bool.random(using: &random) ? phases : [])
    tiers = Array(frequencies.indices)
    count = Int.random(in: 1...6, using: &random)
    flushEvery = Int.random(in: 1...9, using: &random)
    let alwaysSeparate = Int.random(in: 0..<20, using: &random) == 0
    self.random = random
    book = WindowTracker(clock: clock, microBatchCount: count, alwaysSeparate: alwaysSeparate)
    sums = WindowModel.sums(clock, count)
  }

  static func sums(_ clock: WindowClock, _ count: Int) -> WindowSums<Sum> {
    WindowSums(clock: clock, microBatchCount: count) { $0 += $1 }
  }

  static func gradient(_ key: WindowKey, _ step: Int) -> Sum { ["\(key.tier).\(key.microBatch).\(step)"] }

  mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }
  mutating func note(_ kind: String) { counts[kind, default: 0] += 1 }
  mutating func check(_ condition: Bool, _ problem: String) {
    if !condition { problems.append(problem) }
  }

  mutating func join() {
    workers[nextWorker] = [:]
    nextWorker += 1
  }

  mutating func run() {
    for _ in 0..<Int.random(in: 1...4, using: &random) { join() }
    for step in 1...30 where problems.isEmpty {
      let isFlush = step % flushEvery == 0
      for shard in cut() { compute(shard, step, isFlush) }
      if chance(8), let id = workers.keys.randomElement(using: &random) { lose(id) }
      if chance(8) { join() }
      let boundaries = tiers.filter { clock.isBoundary(tier: $0, step: step) }
      fill(isFlush ? tiers : boundaries, through: step)
      for tier in boundaries {
        check(
          total(tier, step) == expected(tier, step), "tier \(tier), boundary \(step): \(total(tier, step))")
        sums.close(tier: tier, boundary: step)
      }
      for tier in tiers where isFlush && !boundaries.contains(tier) { checkCopies(tier, step) }
      // Whatever is computed again has its parameters still.
      check(book.oldestStep(after: step) > step - flushEvery, "parameters older than the last flush")
      if isFlush, chance(6) { restart(step) }
    }
  }

  func expected(_ tier: Int, _ step: Int) -> Sum {
    (0..<count).flatMap { expectedChain(WindowKey(tier: tier, microBatch: $0), step) }
  }

  func expectedChain(_ key: WindowKey, _ step: Int) -> Sum {
    (clock.start(tier: key.tier, step: step)...step).flatMap { WindowModel.gradient(key, $0) }
  }

  func total(_ tier: Int, _ step: Int) -> Sum {
    do { return try sums.total(tier: tier, boundary: step) } catch { return ["\(error)"] }
  }

  mutating func checkCopies(_ tier: Int, _ step: Int) {
    for g in 0..<count {
      let key = WindowKey(tier: tier, microBatch: g)
      check(sums.chain(of: key, through: step) == expectedChain(key, step), "copy of \(key) at \(step)")
    }
  }

  mutating func cut() -> [Shard] {
    var level = 0
    while 1 << level < count, !chance(2) { level += 1 }
    let groups = chance(3) ? [[0, 2], [1]] : (chance(4) ? [[0], [1], [2]] : [tiers])
    return ReductionTree.nodes(level: level, count: count).flatMap { node in
      groups.map { Shard(node: node, tiers: $0) }
    }
  }

  mutating func lose(_ id: Int) {
    note("lost")
    workers[id] = nil
    book.lost(worker: id)
    if workers.isEmpty { join() }
  }

  mutating func compute(_ shard: Shard, _ step: Int, _ isFlush: Bool) {
    while true {
      let ids = workers.keys.sorted()
      let owner = ids.max {
        book.chainsHeld(of: shard, step: step, worker: $0)
          < book.chainsHeld(of: shard, step: step, worker: $1)
      }
      guard let id = chance(4) ? ids.randomElement(using: &random) : owner else { return }
      let isOld = id % 5 == 0
      let orders = book.orders(for: shard, step: step, isFlush: isFlush, worker: id, mayHold: !isOld)
      give(orders, shard, step, to: id)
      if chance(15) {
        lose(id)
        continue
      }
      if chance(12) {
        backup(shard, step, isFlush, owner: id, orders)
        return
      }
      let (reports, objects) = execute(orders, shard, step, id)
      if chance(20) {
        // The result is damaged on its way: the chains have gone on, and nobody knows.
        book.lost(worker: id, shard: shard)
        continue
      }
      keep(objects, orders, shard, step)
      book.took(orders, node: shard.node, step: step, worker: id, reports: isOld ? [] : reports)
      return
    }
  }

  /// Another worker's result counts.
  mutating func backup(_ shard: Shard, _ step: Int, _ isFlush: Bool, owner: Int, _ orders: [WindowOrder]) {
    note("backup")
    join()
    let id = nextWorker - 1
    let separate = book.orders(for: shard, step: step, isFlush: isFlush, worker: id, mayHold: false)
    let ownersFirst = chance(2) ? execute(orders, shard, step, owner).0 : nil
    let (reports, objects) = execute(separate, shard, step, id)
    keep(objects, separate, shard, step)
    book.took(separate, node: shard.node, step: step, worker: id, reports: reports)
    guard let ownersFirst else { return }
    if chance(2), owner % 5 != 0 {
      note("also holds")
      book.alsoHolds(orders, node: shard.node, step: step, worker: owner, reports: ownersFirst)
    } else {
      note("silent")
    }
  }

  mutating func give(_ orders: [WindowOrder], _ shard: Shard, _ step: Int, to id: Int) {
    for (key, order, _) in pairs(orders, shard) where order == .given {
      note("given")
      let sum = sums.chain(of: key, through: step - 1)
      check(sum != nil, "the chain of \(key) is not here to be given at \(step)")
      workers[id]?[key] = Owned(last: step - 1, sum: sum ?? [])
    }
  }

  func pairs(_ orders: [WindowOrder], _ shard: Shard) -> [(WindowKey, ChainOrder, WindowOrder.Returns)] {
    orders.flatMap { order in
      zip(shard.node.leaves(count: count), order.chains).map {
        (WindowKey(tier: order.tier, microBatch: $0), $1, order.returns)
      }
    }
  }

  /// What a worker does.
  mutating func execute(
    _ orders: [WindowOrder], _ shard: Shard, _ step: Int, _ id: Int
  ) -> ([WindowReport], [WindowKey: Sum]) {
    var reports: [WindowReport] = []
    var objects: [WindowKey: Sum] = [:]
    for (key, order, _) in pairs(orders, shard) {
      let gradient = WindowModel.gradient(key, step)
      var owned = workers[id]?[key]
      switch order {
      case .separate, .skip: owned = nil
      case .start: owned = Owned(last: step, sum: gradient)
      case .proceed, .given:
        if case .proceed(let digest) = order {
          note("proceeded")
          check(
            owned?.digest == digest, "worker \(id) is asked for \(digest), has \(owned?.digest ?? "none")")
        }
        check(owned?.last == step - 1, "worker \(id)'s chain of \(key) ends at \(owned?.last ?? 0)")
        owned?.sum += gradient
        owned?.last = step
      }
      if let owned { workers[id]?[key] = owned }
      objects[key] = owned?.sum ?? gradient
      reports.append(
        WindowReport(
          tier: key.tier, microBatch: key.microBatch, first: clock.start(tier: key.tier, step: step),
          last: step, chain: owned?.digest, gradient: gradient[0]))
    }
    return (reports, objects)
  }

  /// What the coordinator does with the bytes that orders ask for.
  mutating func keep(_ objects: [WindowKey: Sum], _ orders: [WindowOrder], _ shard: Shard, _ step: Int) {
    for order in orders where order.returns == .sum {
      note("sum")
      let sum = shard.node.leaves(count: count).flatMap {
        objects[WindowKey(tier: order.tier, microBatch: $0)] ?? []
      }
      sums.take(sum: sum, at: shard.node, tier: order.tier, step: step)
    }
    for (key, order, returns) in pairs(orders, shard) {
      guard let object = objects[key] else { continue }
      if order == .separate {
        note("separate")
        sums.take(object, of: key, step: step)
      } else if returns == .copy {
        note("copy")
        sums.take(chain: object, of: key, through: step)
      }
    }
  }

  /// Collects and computes again until nothing is missing.
  mutating func fill(_ due: [Int], through step: Int) {
    for _ in 0..<10 {
      let gaps = book.gaps(tiers: due, through: step)
      if gaps.isEmpty { return }
      for (id, keys) in gaps.collect.sorted(by: { $0.key < $1.key }) {
        for (key, digest) in keys.sorted(by: { $0.key < $1.key }) { collect(key, digest, from: id) }
      }
      for (missing, keys) in gaps.recompute.sorted(by: { $0.key < $1.key }) {
        for key in keys {
          note("recomputed")
          let gradient = WindowModel.gradient(key, missing)
          if let recorded = book.recorded(key, step: missing) {
            check(recorded.gradient == gradient[0], "\(key) at \(missing) was recorded as \(recorded)")
          }
          sums.take(gradient, of: key, step: missing)
          book.recomputed(key, step: missing)
        }
      }
    }
    check(false, "gaps do not close at step \(step)")
  }

  mutating func collect(_ key: WindowKey, _ digest: String, from id: Int) {
    guard let owned = workers[id]?[key], owned.digest == digest, !chance(10) else {
      note("refused")
      book.lost(
        worker: id, shard: Shard(node: TreeNode(level: 0, index: key.microBatch), tiers: [key.tier]))
      return
    }
    note("collected")
    sums.take(chain: owned.sum, of: key, through: owned.last)
    book.collected(key, through: owned.last)
  }

  /// The coordinator is killed, and begins again from a snapshot.
  mutating func restart(_ step: Int) {
    note("restarted")
    var restored = WindowModel.sums(clock, count)
    for tier in tiers where clock.start(tier: tier, step: step + 1) <= step {
      for g in 0..<count {
        let key = WindowKey(tier: tier, microBatch: g)
        if let chain = sums.chain(of: key, through: step) {
          restored.take(chain: chain, of: key, through: step)
        }
      }
    }
    sums = restored
    book = WindowTracker(
      clock: clock, microBatchCount: count, step: step, alwaysSeparate: book.alwaysSeparate)
    for id in workers.keys.sorted() {
      workers[id] = nil
      join()
    }
  }
}
