import NestedLearning
import Testing
import WireProtocol

@testable import Coordination

/// Chains that are chosen by lot are computed again by others. One tier, updated at every fourth step, one micro-batch;
/// the fraction is so near 1 that every shard is chosen, and still not 1, so that workers keep chains. The
/// reference is the rule: of what a worker sends nothing counts as verified that nobody else came to.
@Suite struct WindowAuditTests {
  /// A scene with a book, in which worker 1 (a) has computed steps 1 to `last`, and b has come to the same gradients.
  private struct Story {
    var scene: Scene
    var second = 1.0
    var transcript = ""
    var audits: [WindowAudit] = []

    /// - Parameter flushes: the steps that are flushed.
    init(_ peers: String..., flushes: Set<Int> = [3], through last: Int = 3) {
      scene = Scene(tiers: [3]) { $0.verifyFraction = 0.999_999 }
      _ = scene.at(0, Scene.versions([0]))
      for peer in peers {
        _ = scene.hello(0, peer)
        _ = scene.ready(0, peer)
      }
      _ = scene.at(0, .windows(WindowTracker(clock: WindowClock(frequencies: [4]), microBatchCount: 1)))
      for step in 1...last { train(step, flush: flushes.contains(step)) }
    }

    /// What a peer says of its assignment. Gradients and chains have digests by step.
    func result(_ peer: String, gradient: String = "g", loss: Double = 1) -> ResultSummary {
      guard let assignment = scene.assignments[peer] else { return scene.result(peer) }
      let step = assignment.unit.step
      let expected = assignment.expectedObjects(tierParameterCounts: scene.core.settings.tierParameterCounts)
      let objects = expected.map { name, bytes in
        let sha256 =
          name.hasPrefix("chain.")
          ? "chain \(step)" : name == "tier.0" ? "sum \(step)" : "\(gradient) \(step)"
        return ResultSummary.Object(name: name, sha256: sha256, byteCount: bytes)
      }
      let reports = assignment.windows.map { order in
        WindowReport(
          tier: 0, microBatch: 0, first: 1, last: step, chain: "chain \(step)",
          gradient: "\(gradient) \(step)")
      }
      return ResultSummary(
        attempt: assignment.attempt, lossSum: loss, tokens: 2, seconds: 1, objects: objects,
        isDigestOnly: assignment.digestOnly, windows: reports)
    }

    @discardableResult
    mutating func says(_ peer: String, gradient: String = "g", loss: Double = 1) -> String {
      second += 0.01
      return at(
        .result(
          peer: PeerID(peer), session: scene.session(peer), term: 4,
          result(peer, gradient: gradient, loss: loss)))
    }

    mutating func at(_ event: SceneEvent) -> String {
      var core = scene.core
      for case .work(_, .unitComplete(let done)) in core.step(event, now: .zero + second)
      where done.unit.hasLoss {
        audits = done.audits
      }
      let text = scene.at(second, event)
      transcript += text + "\n"
      return text
    }

    private mutating func train(_ step: Int, flush: Bool) {
      second += 1
      _ = at(
        .open(
          WorkUnit(
            purpose: .train, step: step, leafCount: 1, dueTiers: [0], window: true, isFlush: flush)))
      for peer in scene.sessions.keys.sorted()
      where scene.assignments[peer]?.unit.step == step && scene.core.status.unit != nil { says(peer) }
    }

    var rows: [Substring] { transcript.split(separator: "\n").filter { $0.hasPrefix("record ") } }

    /// Opens the unit in which others compute a step again.
    mutating func computeAgain(_ step: Int) -> String {
      let units = WindowAudit.units(of: audits, microBatchCount: 1) {
        $0 == step ? [TierVersion(version: 0, digest: "v0")] : nil
      }
      guard let unit = units.first else { return "no unit" }
      scene.assignments = [:]
      second += 1
      return at(.open(unit))
    }
  }

  /// Nothing is asked about before it comes in, and then everything since it last did. The row of its worker is not
  /// verified, although another came to the same gradient.
  @Test func everythingThatCameInIsAskedAbout() throws {
    func audit(_ story: Story) throws -> WindowAudit {
      let audit = try #require(story.audits.first)
      #expect(story.audits.count == 1 && audit.worker == 1 && audit.identity == "h/1")
      #expect(audit.node == TreeNode(level: 0, index: 0) && audit.chains.count == 1)
      return audit
    }
    func chain(_ base: Int, _ last: Int) -> WindowAudit.PartialSum {
      WindowAudit.PartialSum(
        key: WindowKey(tier: 0, microBatch: 0), base: base, last: last, sha256: "chain \(last)",
        gradients: Dictionary(uniqueKeysWithValues: ((base + 1)...last).map { ($0, "g \($0)") }))
    }
    var story = Story("a", "b", flushes: [], through: 3)
    #expect(story.audits.isEmpty)
    #expect(
      story.rows.allSatisfy {
        $0.hasSuffix($0.contains("worker 1") ? "committed, verified" : "verified, verified")
      })
    story = Story("a", "b", flushes: [3], through: 3)
    #expect(try audit(story).chains == [chain(0, 3)] && audit(story).summed == [])
    let last = story.rows.suffix(2)
    #expect(last.first?.hasSuffix("committed") == true && last.last?.hasSuffix("verified, verified") == true)
    story = Story("a", "b", flushes: [], through: 4)
    #expect(try audit(story).chains == [chain(0, 4)] && audit(story).summed == [0])
    story = Story("a", "b", flushes: [2], through: 4)
    #expect(try audit(story).chains == [chain(2, 4)] && audit(story).steps == [3, 4])
  }

  /// Who sent the chain does not compute it again; another does, and agrees.
  @Test func anotherComputesItAgain() {
    var story = Story("a", "b")
    for step in 1...3 {
      let opened = story.computeAgain(step)
      #expect(opened.contains("assign to b:") && !opened.contains("assign to a:"), "\(opened)")
      #expect(story.says("b").contains("complete: step \(step), computed again"))
    }
    #expect(!story.transcript.contains("quarantine"))
    let wrong = story.at(.distrust(workerID: 1, identity: "h/1", reason: "its chain is wrong"))
    #expect(wrong.contains("quarantine worker 1, h/1: its chain is wrong"))
    #expect(wrong.contains("reject a, quarantined"))
    #expect(story.scene.core.isQuarantined("h/1") && !story.scene.core.isQuarantined("h/2"))
  }

  /// Whoever is there says something else than the worker said of its own gradient: a third decides between the two.
  @Test(arguments: [true, false]) func aThirdDecides(theClaimIsRight: Bool) {
    var story = Story("a", "b", "c")
    let opened = story.computeAgain(1)
    let (first, third) = opened.contains("assign to b:") ? ("b", "c") : ("c", "b")
    let id = first == "b" ? 2 : 3
    #expect(opened.contains("assign to \(first):") && !opened.contains("assign to a:"))
    let disputed = story.says(first, gradient: theClaimIsRight ? "x" : "y")
    #expect(
      disputed.contains(
        "log: worker 1 and worker \(id) came to different results for micro-batch 0 of step 1"))
    #expect(disputed.contains("assign to \(third):") && disputed.contains("digests alone"))
    let decided = story.says(third, gradient: theClaimIsRight ? "g" : "y")
    let wrong = theClaimIsRight ? id : 1
    #expect(decided.contains("quarantine worker \(wrong), h/\(wrong):"))
    guard theClaimIsRight else {
      #expect(decided.contains("complete: step 1, computed again"))
      return
    }
    // The right bytes are still to come.
    let last = story.scene.assignments["a"] == nil ? third : "a"
    #expect(decided.contains("assign to \(last):") && !decided.contains("digests alone"))
    #expect(story.says(last).contains("complete: step 1, computed again"))
  }

  /// The claim says nothing of the loss, so it cannot speak for one of two: a gradient that is computed again is compared
  /// alone. Found by `nl-tool simulate --trace 118003`: an honest worker was outvoted by a wrong loss and the claim.
  @Test func theLossIsNoMatterWhenComputedAgain() {
    var story = Story("a", "b", "c")
    let opened = story.computeAgain(1)
    let (first, third) = opened.contains("assign to b:") ? ("b", "c") : ("c", "b")
    _ = story.says(first, gradient: "x")
    let decided = story.says(third, loss: 9)
    let last = story.scene.assignments["a"] == nil ? third : "a"
    #expect(decided.contains("assign to \(last):") && !decided.contains("digests alone"))
    let ended = story.says(last, loss: 1)
    #expect(ended.contains("complete: step 1, computed again") && !ended.contains("quarantine"), "\(ended)")
  }

  /// With nobody to decide the run waits, and says for what.
  @Test func nobodyDecides() {
    var story = Story("a", "b")
    _ = story.computeAgain(1)
    _ = story.says("b", gradient: "x")
    #expect(story.scene.core.status.pause == .needsArbiter)
    #expect(
      story.scene.core.status.reason.contains(
        "worker 1 and worker 2 came to different results for micro-batch 0 of step 1"))
  }

  /// Where nobody else is there, what was only chosen by lot is not held up, and that is counted.
  @Test func waivedWithoutAnother() {
    var story = Story("a")
    let before = story.scene.core.status.waivedChecks
    let opened = story.computeAgain(1)
    #expect(
      opened.contains("complete: step 1, computed again") && opened.contains("attempts []"), "\(opened)")
    #expect(story.scene.core.status.waivedChecks == before + 1)
  }

  /// What a worker in quarantine has said of a gradient that was lost is no matter any more: one other is enough to
  /// compute it again, even if there is no third.
  @Test func theWordOfTheQuarantinedIsVoid() throws {
    var story = Story("a", "b", flushes: [], through: 2)
    _ = story.at(.distrust(workerID: 1, identity: "h/1", reason: "its chain is wrong"))
    let gaps = try #require(story.scene.core.windows?.gaps(tiers: [0], through: 2))
    #expect(gaps.recompute.keys.sorted() == [1, 2])
    let versions = [TierVersion(version: 0, digest: "v0")]
    let unit = try #require(gaps.recomputeUnit(microBatchCount: 1) { _ in versions })
    _ = story.at(.open(unit))
    #expect(story.says("b", gradient: "y").contains("complete: step 1, computed again"))
  }
}
