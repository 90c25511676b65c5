import Testing
import WireProtocol

@testable import Coordination

/// How many tokens of an evaluation are right: asked for, held to the number of tokens, and added up.
@Suite struct AccuracyTests {
  private static func evaluation(leaves: Int, wanted: Bool) -> WorkUnit {
    var unit = WorkUnit(
      purpose: .evaluate, step: 1, leafCount: leaves, dueTiers: [],
      trainedTokens: [Int](repeating: 2, count: leaves))
    unit.wantsAccuracy = wanted
    return unit
  }

  private static func with(_ correct: Int?, _ result: ResultSummary) -> ResultSummary {
    var result = ResultSummary(
      attempt: result.attempt, lossSum: result.lossSum, tokens: result.tokens, seconds: 1, objects: [])
    result.correct = correct
    return result
  }

  @Test(
    arguments: [
      (2, true, true), (0, true, true), (nil, false, true), (3, true, false), (-1, true, false),
      (nil, true, false), (1, false, false),
    ] as [(Int?, Bool, Bool)])
  func whatIsAskedFor(correct: Int?, wanted: Bool, isRight: Bool) {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, .open(Self.evaluation(leaves: 1, wanted: wanted)))
    let said = scene.at(
      1,
      .result(peer: PeerID("a"), session: scene.session("a"), term: 4, Self.with(correct, scene.result("a"))))
    #expect(said.contains(isRight ? "complete: " : "corrupt"), "\(said)")
  }

  @Test func theyAreAdded() throws {
    var scene = Scene()
    scene.begin("a", "b")
    _ = scene.at(0, .open(Self.evaluation(leaves: 3, wanted: true)))
    for (peer, correct) in [("a", 1), ("b", 2)] {
      let effects = scene.core.step(
        .result(
          peer: PeerID(peer), session: scene.session(peer), term: 4, Self.with(correct, scene.result(peer))),
        now: .zero + 1)
      for case .work(_, .unitComplete(let done)) in effects {
        #expect(done.correct == 3 && done.tokens == 6)
        return
      }
    }
    Issue.record("the evaluation was not completed")
  }

  @Test func theyCountForAgreement() {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, .open(Self.evaluation(leaves: 1, wanted: true)))
    let one = Self.with(1, scene.result("a"))
    #expect(one.agrees(with: Self.with(1, one)))
    for other in [nil, 0, 2] {
      #expect(
        !one.agrees(with: Self.with(other, one)) && ShardDigest(one) != ShardDigest(Self.with(other, one)))
    }
  }
}
