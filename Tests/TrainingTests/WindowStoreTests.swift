import Coordination
import Foundation
import Harness
import NestedLearning
import Testing
import WireProtocol

@testable import Training

/// The coordinator's part of the windows. The reference is the trainer's state that keeps its own windows and is given
/// every micro-batch's gradient at every step; bits are compared.
@Suite struct WindowStoreTests {
  /// Fresh choices at every run; NL_WINDOW_SEED repeats them.
  static func random() -> SplitMix64 {
    let named = ProcessInfo.processInfo.environment["NL_WINDOW_SEED"].flatMap(UInt64.init)
    let seed = named ?? UInt64.random(in: 0...UInt64.max)
    print("NL_WINDOW_SEED=\(seed)")
    return SplitMix64(seed: seed)
  }

  static func result(_ message: ResultMessage, _ node: TreeNode, step: Int) -> UnitResult {
    UnitResult(shard: Shard(node: node, tiers: []), step: step, message: message)
  }

  /// Whatever a window's gradients come as — one by one, also a later step's before an earlier one's, as copies of
  /// chains, as sums over nodes — parameters, moments and the chains in a snapshot are the same.
  @Test(arguments: [InactiveGradients.mean, .sum])
  func everyWayToBringAWindowGivesTheSameBits(inactive: InactiveGradients) throws {
    var random = Self.random()
    for _ in 0..<20 {
      var own = try WindowedRun(inactive)
      var engine = StepEngine(state: own.state)
      for step in 1...13 {
        let isFlush = Bool.random(using: &random)
        for arrival in own.arrivals(step: step, isFlush: isFlush, &random) {
          try engine.keep([Self.result(arrival.message, arrival.node, step: arrival.step)])
        }
        let applied = try engine.apply(
          step: step, losses: StepLosses(task: 1, taskTokens: WindowedRun.tokens(step)), results: [])
        try own.apply(step: step)
        #expect(engine.state.parameters == own.state.parameters)
        #expect(applied.outcome.activeTiers == own.state.scheduler.activeTiers(at: step))
        guard isFlush else { continue }
        let snapshot = try engine.snapshot()
        #expect(snapshot == own.state.snapshot())
        // From a snapshot the chains go on as they were.
        if Bool.random(using: &random) {
          engine = StepEngine(
            state: try NestedTrainerState(
              config: own.config, scheduler: own.state.scheduler, shapes: WindowedRun.shapes,
              snapshot: snapshot))
        }
      }
    }
  }

  /// A chain that has not come in keeps a snapshot from being written, and a boundary from being applied: by name.
  @Test func whatIsMissingIsNamed() throws {
    let own = try WindowedRun(.sum)
    let engine = StepEngine(state: own.state)
    for g in [0, 2] {
      try engine.keep([
        Self.result(own.separate([0, 1, 2], g, step: 1), TreeNode(level: 0, index: g), step: 1)
      ])
    }
    #expect(
      errorText { _ = try engine.apply(step: 1, losses: StepLosses(task: 1, taskTokens: 1), results: []) }
        .contains(
          "micro-batch 1 are missing"))
    try engine.keep([Self.result(own.separate([0], 1, step: 1), TreeNode(level: 0, index: 1), step: 1)])
    _ = try engine.apply(step: 1, losses: StepLosses(task: 1, taskTokens: 1), results: [])
    #expect(
      errorText { _ = try engine.snapshot() }.contains(
        "the window of tier 1, micro-batch 1 has not come in up to step 1"))
  }

  /// What is not finite, or has not the values of its tier, never gets into a window; the parameter is named.
  @Test func onlyFiniteGradientsOfTheRightSize() throws {
    let own = try WindowedRun(.mean)
    let engine = StepEngine(state: own.state)
    let node = TreeNode(level: 0, index: 1)
    func keep(_ gradients: [TierGradient], _ chains: [WindowChain] = []) -> String {
      let message = ResultMessage(
        attempt: 1, lossSum: 0, tokens: 1, seconds: 0, gradients: gradients, chains: chains)
      return errorText { try engine.keep([Self.result(message, node, step: 1)]) }
    }
    for bad in [Float.nan, .infinity, -.infinity] {
      let values: [Float] = [1, 2, 3, bad, 5]
      #expect(
        keep([TierGradient(tier: 2, microBatch: 1, floats: values)]).contains("gradient of p2 is not"))
      #expect(keep([TierGradient(tier: 1, floats: values)]).contains("the gradient of p1 is not finite"))
      #expect(
        keep([], [WindowChain(tier: 2, microBatch: 1, floats: values)]).contains("gradient of p2 is not"))
    }
    #expect(keep([TierGradient(tier: 1, microBatch: 1, floats: [1])]).contains("1 values came for tier 1"))
    #expect(keep([TierGradient(tier: 7, microBatch: 1, floats: [1])]).contains("1 values came for tier 7"))
    #expect(engine.chain(of: WindowKey(tier: 1, microBatch: 1), through: 1) == nil)
  }
}
