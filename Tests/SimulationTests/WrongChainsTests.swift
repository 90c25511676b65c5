import Testing
import WireProtocol

@testable import Simulation

/// Which results a liar's chains make wrong: those that bring them, whatever became of the result in which they were
/// made.
@Suite struct WrongChainsTests {
  private static let sha256 = String(repeating: "d", count: 64)

  /// Two micro-batches of tier 1 with these orders.
  private func assign(
    _ purpose: Purpose, step: Int, _ returns: WindowOrder.Returns, _ chains: [ChainOrder]
  ) -> AssignMessage {
    AssignMessage(
      attempt: step, purpose: purpose, step: step, leafCount: 2, level: 1, index: 0, tiers: [1], window: true,
      digestOnly: false, stepTokens: 4,
      windows: [WindowOrder(tier: 1, returns: returns, chains: chains)], parameterVersions: [0, 0],
      dropoutSeed: nil, microBatches: [])
  }

  private func lie(_ kind: Lie.Kind) -> Lie {
    var random = SplitMix64(seed: 1)
    return Lie(kind: kind, using: &random)
  }

  @Test func aWrongChainCountsWhenItIsSent() {
    var chains = WrongChains()
    let isWrong = [
      chains.computed(assign(.train, step: 3, .none, [.start, .start]), lie: lie(.chain)),
      chains.computed(assign(.train, step: 4, .none, [.proceed(sha256: Self.sha256), .separate]), lie: nil),
      chains.computed(assign(.collect, step: 4, .copy, [.skip, .proceed(sha256: Self.sha256)]), lie: nil),
      chains.computed(assign(.collect, step: 4, .copy, [.proceed(sha256: Self.sha256), .skip]), lie: nil),
      chains.computed(assign(.train, step: 5, .sum, [.start, .start]), lie: nil),
    ]
    #expect(isWrong == [false, false, true, true, false])
  }

  @Test func whatTheCoordinatorHasReplacesIt() {
    var chains = WrongChains()
    let first = chains.computed(assign(.train, step: 3, .none, [.start, .start]), lie: lie(.chain))
    chains.take(
      WindowMessage(step: 3, firsts: [3], chains: [WindowChain(tier: 1, microBatch: 0, floats: [1])]))
    let order = [ChainOrder.given, .proceed(sha256: Self.sha256)]
    let second = chains.computed(assign(.train, step: 4, .none, order), lie: nil)
    #expect(!first && !second)
    let isWrong = (0..<2).map { g in
      let orders = (0..<2).map { $0 == g ? ChainOrder.proceed(sha256: Self.sha256) : .skip }
      return chains.computed(assign(.collect, step: 4, .copy, orders), lie: nil)
    }
    #expect(isWrong == [false, true])
  }

  /// A wrong gradient is told at once, and is in the chain of its micro-batch alone.
  @Test func aWrongGradientCountsTwice() {
    var chains = WrongChains()
    let isWrongAtOnce = chains.computed(
      assign(.train, step: 3, .none, [.start, .start]), lie: lie(.gradient))
    #expect(isWrongAtOnce)
    let isWrong = (0..<2).map { g in
      let orders = (0..<2).map { $0 == g ? ChainOrder.proceed(sha256: Self.sha256) : .skip }
      return chains.computed(assign(.collect, step: 3, .copy, orders), lie: nil)
    }
    #expect(isWrong == [true, false])
  }
}
