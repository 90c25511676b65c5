import Digests
import NestedLearning
import Testing
import WireProtocol

@testable import Coordination
@testable import Service
@testable import Training

/// The coordinator adds up what a worker says that it has added up. The reference is `ChainScene`'s arithmetic.
@Suite struct PartialSumAuditTests {
  /// Tier 1 is updated at every sixth step; of its chains those through step 2 are here.
  static let clock = WindowClock(frequencies: [1, 6])
  let scene = ChainScene(leafCount: 3)

  /// Three chains of a window through step 5, the last of which has come as far as step 2 before.
  func audit(summed: Bool, sha256: (WindowKey) -> String) -> WindowAudit {
    let chains = (0..<3).map { g in
      let key = WindowKey(tier: 1, microBatch: g)
      let base = g == 2 ? 2 : 0
      return WindowAudit.PartialSum(
        key: key, base: base, last: 5, sha256: sha256(key),
        gradients: Dictionary(
          uniqueKeysWithValues: ((base + 1)...5).map {
            ($0, Digest.sha256(floats: ChainScene.gradient(key, step: $0)))
          }))
    }
    return WindowAudit(
      attempt: 7, worker: 1, identity: "h/1", node: TreeNode(level: 2, index: 0), chains: chains,
      summed: summed ? [1] : [])
  }

  /// What others come to: each gradient of each step, by itself.
  func again(_ step: Int, _ microBatches: [Int]) -> [ResultMessage] {
    microBatches.map { g in
      ResultMessage(
        attempt: 10 + g, lossSum: 0, tokens: 1, seconds: 0,
        gradients: [
          TierGradient(
            tier: 1, microBatch: g,
            floats: ChainScene.gradient(WindowKey(tier: 1, microBatch: g), step: step))
        ])
    }
  }

  func check(
    _ audit: WindowAudit, sent: [TierGradient] = [], without missing: Int? = nil
  ) throws -> PartialSumAudit.Verdict {
    var check = PartialSumAudit(
      [audit], clock: Self.clock, microBatchCount: 3,
      chain: { $1 == 2 ? ChainScene.chain($0, 1...2) : nil })
    #expect(audit.steps == [1, 2, 3, 4, 5])
    // The first two steps make four micro-batches together, every other one three.
    let units = WindowAudit.units(of: [audit], microBatchCount: 4) { [TierVersion(version: $0, digest: "v")] }
    #expect(
      units.map { $0.parts?.compactMap(\.earlier?.step) } == [
        [1, 1, 2, 2], [3, 3, 3], [4, 4, 4], [5, 5, 5],
      ])
    for step in 1...5 {
      let microBatches = (0..<3).filter { ($0 < 2 || step > 2) && !(step == 4 && $0 == missing) }
      try check.add(again(step, microBatches), step: step)
    }
    let message = ResultMessage(attempt: 7, lossSum: 0, tokens: 1, seconds: 0, gradients: sent)
    return try check.verdict(on: audit, message)
  }

  static func right(_ key: WindowKey) -> String { Digest.sha256(floats: ChainScene.chain(key, 1...5)) }

  @Test func chains() throws {
    #expect(try check(audit(summed: false, sha256: Self.right)) == .right)
    for g in 0..<3 {
      let wrong = audit(summed: false) { key in
        var chain = ChainScene.chain(key, 1...5)
        // One bit of one value.
        if key.microBatch == g { chain[1] = Float(bitPattern: chain[1].bitPattern ^ 1) }
        return Digest.sha256(floats: chain)
      }
      let reason = "its chain of tier 1, micro-batch \(g) up to step 5 is not what its gradients add up to"
      #expect(try check(wrong) == .wrong(reason))
    }
  }

  /// The digests of the chains are right, and the sum over them is not.
  @Test func sums() throws {
    var sum = scene.sum(tier: 1, from: 0, level: 2, 1...5)
    let audit = audit(summed: true, sha256: Self.right)
    #expect(try check(audit, sent: [TierGradient(tier: 1, floats: sum)]) == .right)
    let reason = "its sum of tier 1 up to step 5 is not what its gradients add up to"
    sum[0] = Float(bitPattern: sum[0].bitPattern ^ 1)
    #expect(try check(audit, sent: [TierGradient(tier: 1, floats: sum)]) == .wrong(reason))
    #expect(try check(audit) == .wrong(reason))
  }

  /// What nobody has computed again says nothing.
  @Test func whatIsMissingSaysNothing() throws {
    let wrong = audit(summed: false) { _ in Digest.sha256(floats: [1]) }
    #expect(try check(wrong, without: 1) == .unknown)
  }
}
