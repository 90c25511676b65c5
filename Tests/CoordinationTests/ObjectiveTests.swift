import Testing
import WireProtocol

@testable import Coordination

/// The sums that results of a run with an objective have beside the loss.
@Suite struct ObjectiveTests {
  /// What comes of one result for a step that wants such sums, or not.
  private static func outcome(_ terms: ObjectiveTerms?, wanted: Bool) -> String {
    var scene = Scene()
    scene.begin("a")
    var unit = WorkUnit(purpose: .train, step: 1, leafCount: 1, dueTiers: [0, 1], trainedTokens: [2])
    unit.hasTerms = wanted
    _ = scene.at(0, .open(unit))
    return scene.at(
      1, .result(peer: PeerID("a"), session: scene.session("a"), term: 4, with(terms, scene.result("a"))))
  }

  private static func with(_ terms: ObjectiveTerms?, _ result: ResultSummary) -> ResultSummary {
    ResultSummary(
      attempt: result.attempt, lossSum: result.lossSum, terms: terms, tokens: result.tokens, seconds: 1,
      objects: result.objects, isDigestOnly: result.isDigestOnly)
  }

  @Test func whatIsAskedFor() {
    let terms = ObjectiveTerms(replay: 1, divergence: 2, objective: 3)
    #expect(Self.outcome(terms, wanted: true).contains("complete: step 1"))
    #expect(Self.outcome(nil, wanted: false).contains("complete: step 1"))
    #expect(Self.outcome(terms, wanted: false).contains("corrupt"))
    #expect(Self.outcome(nil, wanted: true).contains("corrupt"))
    for wrong in [Double.nan, .infinity, -.infinity, 1e308, -1e300] {
      for place in 0..<3 {
        var terms = ObjectiveTerms(replay: 1, divergence: 2, objective: 3)
        if place == 0 { terms.replay = wrong } else if place == 1 { terms.divergence = wrong }
        if place == 2 { terms.objective = wrong }
        #expect(Self.outcome(terms, wanted: true).contains("corrupt"), "\(wrong) in place \(place)")
      }
    }
  }

  /// Three micro-batches by two workers: (0 + 1) + 2, as the tree adds, each term by itself.
  @Test func theyAreAddedByTheTree() throws {
    var scene = Scene()
    scene.begin("a", "b")
    var unit = WorkUnit(purpose: .train, step: 1, leafCount: 3, dueTiers: [0, 1], trainedTokens: [2, 2, 2])
    unit.hasTerms = true
    _ = scene.at(0, .open(unit))
    let small = 1e-16
    for (peer, terms) in [
      ("a", ObjectiveTerms(replay: 1, divergence: small, objective: 4)),
      ("b", ObjectiveTerms(replay: small, divergence: 1, objective: 5)),
    ] {
      let effects = scene.core.step(
        .result(
          peer: PeerID(peer), session: scene.session(peer), term: 4, Self.with(terms, scene.result(peer))),
        now: .zero + 1)
      for case .work(_, .unitComplete(let done)) in effects {
        #expect(done.terms == ObjectiveTerms(replay: 1 + small, divergence: small + 1, objective: 9))
        #expect(done.lossSum == 3 && done.tokens == 6)
        return
      }
    }
    Issue.record("the step was not completed")
  }

  /// Two that differ in one bit of one term do not agree, nor have they one digest.
  @Test func theyCountForAgreement() {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    let result = scene.result("a")
    let terms = ObjectiveTerms(replay: 1, divergence: 2, objective: 3)
    let one = Self.with(terms, result)
    #expect(one.agrees(with: Self.with(terms, result)))
    for other in [
      nil, ObjectiveTerms(replay: 1.0.nextUp, divergence: 2, objective: 3),
      ObjectiveTerms(replay: 1, divergence: 2.0.nextUp, objective: 3),
      ObjectiveTerms(replay: 1, divergence: 2, objective: 3.0.nextUp),
    ] {
      #expect(!one.agrees(with: Self.with(other, result)))
      #expect(ShardDigest(one) != ShardDigest(Self.with(other, result)))
    }
  }
}
