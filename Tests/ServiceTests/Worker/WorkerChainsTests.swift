import Coordination
import Digests
import Harness
import Testing
import Training
import WireProtocol

@testable import Service

/// What a worker does with its chains. The reference is `ChainScene`; bits are compared.
@Suite struct WorkerChainsTests {
  static let first = WindowKey(tier: 1, microBatch: 0)

  /// Two tiers, one with a window of one step and one of five, over three micro-batches in one shard: nothing comes
  /// back of the longer one before its boundary, and then the node's sum alone.
  @Test func aWindowIsOneChainInStepOrder() throws {
    var scene = ChainScene(leafCount: 3)
    for step in 1...5 {
      let longer = (0..<3).map { g in
        step == 1 ? .start : ChainScene.proceed(WindowKey(tier: 1, microBatch: g), 1...(step - 1))
      }
      let outcome = try scene.run(
        step: step, level: 2,
        [
          WindowOrder(tier: 0, returns: .sum, chains: [.start, .start, .start]),
          WindowOrder(tier: 1, returns: step == 5 ? .sum : .none, chains: longer),
        ])
      let sums = try outcome.gradients.map { ($0.tier, $0.microBatch, try $0.values.floats()) }
      #expect(sums.map(\.0) == (step == 5 ? [0, 1] : [0]) && sums.allSatisfy { $0.1 == nil })
      #expect(sums.first?.2 == scene.sum(tier: 0, from: 0, level: 2, step...step))
      if step == 5 { #expect(sums.last?.2 == scene.sum(tier: 1, from: 0, level: 2, 1...5)) }
      #expect(outcome.chains.isEmpty)
      let reports = (0..<2).flatMap { tier in
        (0..<3).map { g in
          let (key, first) = (WindowKey(tier: tier, microBatch: g), tier == 0 ? step : 1)
          return WindowReport(
            tier: tier, microBatch: g, first: first, last: step,
            chain: Digest.sha256(floats: ChainScene.chain(key, first...step)),
            gradient: Digest.sha256(floats: ChainScene.gradient(key, step: step)))
        }
      }
      #expect(outcome.reports == reports)
    }
    // The order of the tree is not that of the chains: the reference can tell.
    let flat = (1..<3).reduce(ChainScene.chain(Self.first, 1...5)) {
      ChainScene.added($0, ChainScene.chain(WindowKey(tier: 1, microBatch: $1), 1...5))
    }
    #expect(ChainScene(leafCount: 4).sum(tier: 1, from: 0, level: 2, 1...5) != flat)
  }

  /// A flush returns copies, and the worker goes on from its own: the boundary's sum is the same with a flush at any
  /// steps and without.
  @Test(arguments: [[], [2], [1, 2, 3], [3]]) func aCopyChangesNothing(flushes: [Int]) throws {
    var scene = ChainScene(leafCount: 2)
    for step in 1...4 {
      let orders = (0..<2).map { g in
        step == 1 ? .start : ChainScene.proceed(WindowKey(tier: 1, microBatch: g), 1...(step - 1))
      }
      let returns: WindowOrder.Returns = step == 4 ? .sum : flushes.contains(step) ? .copy : .none
      let outcome = try scene.run(
        step: step, level: 1, [WindowOrder(tier: 1, returns: returns, chains: orders)])
      #expect(outcome.chains.count == (returns == .copy ? 2 : 0))
      for chain in outcome.chains {
        let key = WindowKey(tier: 1, microBatch: chain.microBatch)
        #expect(try chain.values.floats() == ChainScene.chain(key, 1...step))
        #expect(
          outcome.reports.first { $0.microBatch == chain.microBatch }?.chain == chain.values.sha256)
      }
      if step == 4 {
        #expect(
          try outcome.gradients.map { try $0.values.floats() } == [
            scene.sum(tier: 1, from: 0, level: 1, 1...4)
          ])
      } else {
        #expect(outcome.gradients.isEmpty)
      }
    }
  }

  /// A separate gradient goes back by itself, whatever the worker keeps of that window, and that stays as it was.
  @Test func aLooseGradientLeavesTheChainAlone() throws {
    var scene = ChainScene(leafCount: 2)
    try scene.goOn(Self.first, 1...2)
    // Micro-batch 1 goes on in the same shard in which micro-batch 0 is separate.
    try scene.goOn(WindowKey(tier: 1, microBatch: 1), 1...2)
    let other = WindowKey(tier: 1, microBatch: 1)
    let outcome = try scene.run(
      step: 3, level: 1,
      [WindowOrder(tier: 1, returns: .copy, chains: [.separate, ChainScene.proceed(other, 1...2)])])
    #expect(outcome.gradients.map(\.microBatch) == [0] && outcome.chains.map(\.microBatch) == [1])
    #expect(try outcome.gradients.first?.values.floats() == ChainScene.gradient(Self.first, step: 3))
    #expect(try outcome.chains.first?.values.floats() == ChainScene.chain(other, 1...3))
    let report = try #require(outcome.reports.first { $0.microBatch == 0 })
    #expect(report.first == 3 && report.last == 3 && report.chain == nil)
    #expect(report.gradient == Digest.sha256(floats: ChainScene.gradient(Self.first, step: 3)))
    let kept = try scene.kept(Self.first, ChainScene.proceed(Self.first, 1...2), through: 3)
    #expect(kept == ChainScene.chain(Self.first, 1...2))
    // It lacks step 3 now, and cannot go on as if it had it.
    let refusal = errorText {
      try scene.run(
        step: 4, [WindowOrder(tier: 1, returns: .none, chains: [ChainScene.proceed(Self.first, 1...2)])])
    }
    #expect(
      refusal.contains("the chain of tier 1, micro-batch 0 ends at step 2, not as step 4 needs it"),
      "\(refusal)")
  }

  /// Another digest than the chain's own, a chain that is not here, one that ends elsewhere: all orders of a shard are
  /// refused, by name, and no chain has gone on.
  @Test func whatCannotBeFollowedChangesNothing() throws {
    var scene = ChainScene(leafCount: 2)
    let (left, right) = (Self.first, WindowKey(tier: 1, microBatch: 1))
    try scene.goOn(left, 1...2)
    let good = ChainScene.proceed(left, 1...2)
    let wrong: [(ChainOrder, String)] = [
      (.proceed(sha256: Digest.sha256(floats: [1])), "is not here"), (.given, "is not here"),
      (ChainScene.proceed(left, 1...2), "is not here"),
    ]
    for (order, reason) in wrong {
      let text = errorText {
        try scene.run(step: 3, level: 1, [WindowOrder(tier: 1, returns: .none, chains: [good, order])])
      }
      #expect(text.contains("tier 1, micro-batch 1 \(reason)"), "\(text)")
      #expect(try scene.kept(left, good, through: 2) == ChainScene.chain(left, 1...2))
    }
    try scene.goOn(right, 1...1)
    for order in [ChainScene.proceed(right, 1...1), .given, .proceed(sha256: Digest.sha256(floats: [1]))] {
      let text = errorText {
        try scene.run(step: 3, level: 1, [WindowOrder(tier: 1, returns: .none, chains: [good, order])])
      }
      #expect(text.contains("tier 1, micro-batch 1 ends at step 1, not as step 3 needs it"), "\(text)")
    }
    // The right ones, with a digest of another predecessor: nothing but the digest tells.
    let forged = ChainOrder.proceed(sha256: Digest.sha256(floats: ChainScene.chain(right, 1...2)))
    #expect(
      errorText {
        try scene.run(step: 3, [WindowOrder(tier: 1, returns: .none, chains: [forged])])
      }.contains("tier 1, micro-batch 0 ends at step 2"))
    let outcome = try scene.run(step: 3, [WindowOrder(tier: 1, returns: .copy, chains: [good])])
    #expect(try outcome.chains.first?.values.floats() == ChainScene.chain(left, 1...3))
  }

  /// An assignment that comes once more adds nothing once more.
  @Test func theSameAssignmentTwice() throws {
    var scene = ChainScene(leafCount: 1)
    let start = [WindowOrder(tier: 1, returns: .copy, chains: [.start])]
    let once = try scene.run(step: 1, start)
    #expect(try scene.run(step: 1, start).reports == once.reports)
    let next = [WindowOrder(tier: 1, returns: .copy, chains: [ChainScene.proceed(Self.first, 1...1)])]
    try scene.run(step: 2, next)
    #expect(errorText { try scene.run(step: 2, next) }.contains("ends at step 2, not as step 2 needs it"))
    let kept = try scene.kept(Self.first, ChainScene.proceed(Self.first, 1...2), through: 2)
    #expect(kept == ChainScene.chain(Self.first, 1...2))
  }

  /// A chain that was given goes on as one's own would; one of another size is refused.
  @Test func aGivenChainGoesOn() throws {
    var scene = ChainScene(leafCount: 2)
    let layout = TierLayout(
      EnterRun(
        workerID: 1, run: "run", modelPath: "", modelSHA256: "", trainable: "full",
        tiers: ChainScene.sizes.map { [TierParameter(name: "p", shape: [$0])] }))
    func window(_ values: [Float], tier: Int = 1) -> WindowMessage {
      WindowMessage(step: 3, firsts: [2], chains: [WindowChain(tier: tier, microBatch: 0, floats: values)])
    }
    for (values, tier) in [([Float(1)], 1), ([1, 2, 3], 1), ([1, 2], 0), ([1, 2], 2)] {
      #expect(throws: ServiceError.self) { try scene.chains.take(window(values, tier: tier), layout: layout) }
    }
    let given = [WindowOrder(tier: 1, returns: .sum, chains: [.given])]
    #expect(errorText { try scene.run(step: 4, given) }.contains("is not here"))
    try scene.chains.take(window(ChainScene.chain(Self.first, 2...3)), layout: layout)
    // It ends at step 3: a step later it is not what was meant.
    #expect(errorText { try scene.run(step: 5, given) }.contains("ends at step 3"))
    let outcome = try scene.run(step: 4, given)
    #expect(try outcome.gradients.first?.values.floats() == ChainScene.chain(Self.first, 2...4))
    #expect(outcome.reports.first?.first == 2)
  }

  /// At the boundary of a node of which another worker has a part, each chain is returned for itself, and a sum over
  /// chains that are not all here cannot be asked for.
  @Test func aSumNeedsEveryChainOfTheNode() throws {
    var scene = ChainScene(leafCount: 2)
    try scene.goOn(Self.first, 1...1)
    let own = ChainScene.proceed(Self.first, 1...1)
    let text = errorText {
      try scene.run(
        step: 2, level: 1,
        [
          WindowOrder(
            tier: 1, returns: .sum,
            chains: [own, ChainScene.proceed(WindowKey(tier: 1, microBatch: 1), 1...1)])
        ])
    }
    #expect(text.contains("tier 1, micro-batch 1 is not here"), "\(text)")
    let outcome = try scene.run(
      step: 2, level: 1, [WindowOrder(tier: 1, returns: .copy, chains: [own, .separate])])
    #expect(outcome.gradients.map(\.microBatch) == [1])
    #expect(try outcome.chains.map { try $0.values.floats() } == [ChainScene.chain(Self.first, 1...2)])
  }

  /// Collected chains come as they are, whatever step they end at, and stay; only those that are named.
  @Test func collecting() throws {
    var scene = ChainScene(leafCount: 2)
    try scene.goOn(Self.first, 3...5)
    let orders = [
      WindowOrder(tier: 1, returns: .copy, chains: [ChainScene.proceed(Self.first, 3...5), .skip])
    ]
    let message = scene.message(step: 9, level: 1, purpose: .collect, orders)
    for _ in 0..<2 {
      let answer = try scene.chains.collect(message)
      #expect(answer.gradients.isEmpty && answer.tokens == 0 && answer.lossSum == 0)
      #expect(try answer.chains.map { try $0.values.floats() } == [ChainScene.chain(Self.first, 3...5)])
      #expect(
        answer.windows == [
          WindowReport(
            tier: 1, microBatch: 0, first: 3, last: 5,
            chain: Digest.sha256(floats: ChainScene.chain(Self.first, 3...5)), gradient: nil)
        ])
    }
    #expect(
      errorText {
        _ = try scene.kept(Self.first, ChainScene.proceed(Self.first, 3...4), through: 9)
      }.contains("ends at step 5"))
    try scene.goOn(WindowKey(tier: 0, microBatch: 1), 9...9)
    #expect(try scene.kept(Self.first, ChainScene.proceed(Self.first, 3...5), through: 9) != nil)
  }

  /// A new window of a tier ends what is left of its last one, but not the chains that another shard of the same step
  /// has begun, nor other tiers'. A session's end ends all. A window of one step leaves nothing.
  @Test func whatIsOverIsForgotten() throws {
    var scene = ChainScene(leafCount: 2)
    let (left, right) = (Self.first, WindowKey(tier: 1, microBatch: 1))
    let other = WindowKey(tier: 0, microBatch: 0)
    try scene.goOn(left, 1...4)
    try scene.goOn(other, 3...4)
    try scene.goOn(right, 5...5)
    #expect(throws: ServiceError.self) {
      try scene.kept(left, ChainScene.proceed(left, 1...4), through: 5)
    }
    #expect(try scene.kept(other, ChainScene.proceed(other, 3...4), through: 5) != nil)
    try scene.goOn(left, 5...5)
    #expect(try scene.kept(right, ChainScene.proceed(right, 5...5), through: 5) != nil)
    try scene.run(step: 6, [WindowOrder(tier: 0, returns: .sum, chains: [.start])])
    #expect(throws: ServiceError.self) {
      try scene.kept(other, ChainScene.proceed(other, 6...6), through: 6)
    }
    scene.chains.removeAll()
    for key in [left, right] {
      #expect(throws: ServiceError.self) {
        try scene.kept(key, ChainScene.proceed(key, 5...5), through: 6)
      }
    }
  }
}
