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

  /// How well domains are told is said where it is asked for, of as many rows as there are.
  @Test func domains() {
    func outcome(_ domains: TaskSums?, rows: [Int]) -> String {
      var scene = Scene()
      scene.begin("a")
      var unit = WorkUnit(purpose: .train, step: 1, leafCount: 1, dueTiers: [0, 1], trainedTokens: [2])
      (unit.hasTerms, unit.toldRows) = (true, rows)
      _ = scene.at(0, .open(unit))
      let terms = ObjectiveTerms(objective: 3, domains: domains)
      let result = Self.with(terms, scene.result("a"))
      return scene.at(1, .result(peer: PeerID("a"), session: scene.session("a"), term: 4, result))
    }
    #expect(outcome(TaskSums(loss: 1, places: 3, correct: 3), rows: [3]).contains("complete: step 1"))
    #expect(outcome(nil, rows: []).contains("complete: step 1"))
    for wrong in [
      nil, TaskSums(loss: 1, places: 2), TaskSums(loss: 1, places: 3, correct: 4),
      TaskSums(loss: .nan, places: 3), TaskSums(loss: 1e300, places: 3),
      TaskSums(loss: 1, places: 3, labels: [.init(correct: 0, predicted: 3, actual: 3)]),
    ] { #expect(outcome(wrong, rows: [3]).contains("corrupt"), "\(String(describing: wrong))") }
    #expect(outcome(TaskSums(loss: 1, places: 3), rows: []).contains("corrupt"))
  }

  /// A step of rows without a label has no trained token, and is none the worse for it.
  @Test func noTrainedTokens() {
    func outcome(expected: [Int], said: Int) -> String {
      var scene = Scene()
      scene.begin("a")
      _ = scene.at(
        0,
        .open(WorkUnit(purpose: .train, step: 1, leafCount: 1, dueTiers: [0, 1], trainedTokens: expected)))
      let honest = scene.result("a")
      let result = ResultSummary(
        attempt: honest.attempt, lossSum: 0, tokens: said, seconds: 1, objects: honest.objects,
        isDigestOnly: honest.isDigestOnly)
      return scene.at(1, .result(peer: PeerID("a"), session: scene.session("a"), term: 4, result))
    }
    #expect(outcome(expected: [0], said: 0).contains("complete: step 1"))
    #expect(outcome(expected: [2], said: 0).contains("corrupt"))
    #expect(outcome(expected: [], said: 0).contains("corrupt"))
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
      nil, ObjectiveTerms(replay: 1, divergence: 2, objective: 3, domains: TaskSums(loss: 0, places: 1)),
      ObjectiveTerms(replay: 1.0.nextUp, divergence: 2, objective: 3),
      ObjectiveTerms(replay: 1, divergence: 2.0.nextUp, objective: 3),
      ObjectiveTerms(replay: 1, divergence: 2, objective: 3.0.nextUp),
    ] {
      #expect(!one.agrees(with: Self.with(other, result)))
      #expect(ShardDigest(one) != ShardDigest(Self.with(other, result)))
    }
  }
}
