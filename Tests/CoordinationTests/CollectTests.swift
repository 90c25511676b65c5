import NestedLearning
import Testing
import WireProtocol

@testable import Coordination

/// Chains that are wanted from an owner who does not answer. One tier, updated at every fourth step, one micro-batch; a
/// step takes a second. The reference are the times of PROTOCOL.md: an owner that is late is not waited for, as what it
/// has can be computed again in a second.
@Suite struct CollectTests {
  /// A scene after `steps` steps, all of which worker 1 (a) has computed; b is idle.
  private static func scene(steps: Int = 2) -> Scene {
    var scene = Scene(tiers: [3])
    scene.begin("a", "b")
    _ = scene.at(0, .windows(WindowTracker(clock: WindowClock(frequencies: [4]), microBatchCount: 1)))
    for step in 1...steps {
      let begun = Double(step)
      _ = scene.at(begun, WorkUnit.step(step, leaves: 1, tiers: [0], window: true))
      _ = say(begun + 1, "a", &scene)
      _ = scene.heard(begun + 1, "b")
    }
    return scene
  }

  /// The result of a peer's last assignment, a chain included if it is to keep one.
  private static func say(_ seconds: Double, _ peer: String, _ scene: inout Scene) -> String {
    guard let assignment = scene.assignments[peer] else { return "no assignment" }
    let leaf = assignment.shard.node.index
    let report = WindowReport(
      tier: 0, microBatch: leaf, first: 1, last: assignment.unit.step, chain: "chain", gradient: "d")
    let result = scene.result(peer, windows: assignment.windows.isEmpty ? [] : [report])
    return scene.at(
      seconds, .result(peer: PeerID(peer), session: scene.session(peer), term: 4, result))
  }

  private static func collect(_ scene: Scene, through step: Int) throws -> SceneEvent {
    let gaps = try #require(scene.core.windows?.gaps(tiers: [0], through: step))
    #expect(gaps.collect.keys.sorted() == [1])
    return .open(gaps.collectUnit(step: step, microBatchCount: 1))
  }

  /// It is asked, and says nothing: late after two seconds, two times what is usual, and then given up.
  @Test func anOwnerThatDoesNotAnswer() throws {
    var scene = Self.scene()
    let asked = scene.at(4, try Self.collect(scene, through: 2))
    #expect(
      asked == """
        assign to a: attempt 3, micro-batch 0 of the windows of step 2, tiers [0]
        timer 6.000s
        """)
    // That it has taken it is a sign of life, and moves the time.
    _ = scene.at(4.5, .accepted(peer: PeerID("a"), session: scene.session("a"), attempt: 3))
    _ = scene.heard(5, "b")
    #expect(scene.at(6, .timer) == "timer 6.500s")
    let given = scene.at(6.5, .timer)
    #expect(
      given.hasPrefix(
        """
        cancel a: attempt 3
        complete: the windows of step 2, loss 0.0, 0 tokens, attempts []
        """), "\(given)")
    let gaps = try #require(scene.core.windows?.gaps(tiers: [0], through: 2))
    #expect(gaps.collect.isEmpty && gaps.recompute.keys.sorted() == [1, 2])
  }

  /// One that was told to stop, and has not done that either, is waited for half the usual time.
  @Test func anOwnerThatDoesNotStop() throws {
    var scene = Self.scene()
    _ = scene.at(4, WorkUnit.step(3, leaves: 1, tiers: [0], window: true))
    let late = scene.at(6, .timer)
    #expect(late.contains("worker 2 computes it as well") && late.contains("assign to b: attempt 4"))
    let done = Self.say(6.5, "b", &scene)
    #expect(done.contains("cancel a: attempt 3") && done.contains("complete: step 3"))
    #expect(scene.at(6.5, try Self.collect(scene, through: 2)) == "timer 7.000s")
    _ = scene.heard(6.9, "a")
    let given = scene.at(7, .timer)
    #expect(given.contains("complete: the windows of step 2, loss 0.0, 0 tokens, attempts []"), "\(given)")
  }

  /// One that stops in time is asked.
  @Test func anOwnerThatStops() throws {
    var scene = Self.scene()
    _ = scene.at(4, WorkUnit.step(3, leaves: 1, tiers: [0], window: true))
    _ = scene.at(6, .timer)
    _ = Self.say(6.5, "b", &scene)
    _ = scene.at(6.5, try Self.collect(scene, through: 2))
    let asked = scene.at(6.6, .cancelled(peer: PeerID("a"), session: scene.session("a"), attempt: 3))
    #expect(asked.contains("assign to a: attempt 5, micro-batch 0 of the windows of step 2"), "\(asked)")
  }

  /// What an owner says of a collected chain must be what the book knows of it. A last step beyond that would be taken
  /// for sums that are not there; one before it would be asked for again and again, without end.
  @Test(arguments: [
    (1, 1), (1, 3), (1, Int.max), (2, 2), (2, Int.max), (Int.max, Int.max), (1, 1 << 53),
  ])
  func anotherRangeOfSteps(first: Int, last: Int) throws {
    var scene = Self.scene()
    let digest = try #require(scene.core.windows?.gaps(tiers: [0], through: 2).collect[1]?.values.first)
    _ = scene.at(4, try Self.collect(scene, through: 2))
    let report = WindowReport(
      tier: 0, microBatch: 0, first: first, last: last, chain: digest, gradient: nil)
    let assignment = try #require(scene.assignments["a"])
    let result = ResultSummary(
      attempt: assignment.attempt, lossSum: 0, tokens: 0, seconds: 0,
      objects: [.init(name: "chain.0.0", sha256: digest, byteCount: 12)], windows: [report])
    let said = scene.at(
      5, .result(peer: PeerID("a"), session: scene.session("a"), term: 4, result))
    #expect(said.contains("acknowledge a: attempt 3 corrupt"), "\(said)")
    #expect(said.contains("complete: the windows of step 2, loss 0.0, 0 tokens, attempts []"), "\(said)")
    let gaps = try #require(scene.core.windows?.gaps(tiers: [0], through: 2))
    #expect(gaps.collect.isEmpty && gaps.recompute.keys.sorted() == [1, 2])
  }

  /// Who only hands over what it has, computes nothing. A loss that it says would be compared with that of another owner's
  /// windows, and nobody but the two could ever decide between them.
  @Test(arguments: [(1.0, 0), (-1e300, 0), (0.0, 1), (Double.leastNonzeroMagnitude, 0)])
  func aLossOfNothing(loss: Double, tokens: Int) throws {
    var scene = Self.scene()
    _ = scene.at(4, try Self.collect(scene, through: 2))
    let report = WindowReport(tier: 0, microBatch: 0, first: 1, last: 2, chain: "chain", gradient: nil)
    let result = ResultSummary(
      attempt: 3, lossSum: loss, tokens: tokens, seconds: 0,
      objects: [.init(name: "chain.0.0", sha256: "chain", byteCount: 12)], windows: [report])
    let said = scene.at(5, .result(peer: PeerID("a"), session: scene.session("a"), term: 4, result))
    #expect(said.contains("acknowledge a: attempt 3 corrupt"), "\(said)")
    #expect(said.contains("complete: the windows of step 2, loss 0.0, 0 tokens, attempts []"), "\(said)")
  }

  /// The right one counts.
  @Test func theRightRangeOfSteps() throws {
    var scene = Self.scene()
    _ = scene.at(4, try Self.collect(scene, through: 2))
    let digest = "chain"
    let report = WindowReport(tier: 0, microBatch: 0, first: 1, last: 2, chain: digest, gradient: nil)
    let result = ResultSummary(
      attempt: 3, lossSum: 0, tokens: 0, seconds: 0,
      objects: [.init(name: "chain.0.0", sha256: digest, byteCount: 12)], windows: [report])
    let said = scene.at(5, .result(peer: PeerID("a"), session: scene.session("a"), term: 4, result))
    #expect(said.contains("complete: the windows of step 2, loss 0.0, 0 tokens, attempts [3]"), "\(said)")
    #expect(try #require(scene.core.windows?.gaps(tiers: [0], through: 2)).isEmpty)
  }

  /// What is lost of several steps is computed at once, each with the parameters of its own step, but no more
  /// micro-batches at a time than a step has.
  @Test func severalStepsAtOnce() throws {
    var gaps = WindowGaps()
    let first = WindowKey(tier: 0, microBatch: 0)
    gaps.recompute = [7: [first], 5: [first], 6: [WindowKey(tier: 0, microBatch: 1), first]]
    func versions(_ step: Int) -> [TierVersion]? { [TierVersion(version: step, digest: "v\(step)")] }
    func steps(_ unit: WorkUnit?) -> [Int] { unit?.parts?.compactMap(\.earlier?.step) ?? [] }
    #expect(steps(gaps.recomputeUnit(microBatchCount: 4, versions: versions)) == [5, 6, 6, 7])
    #expect(steps(gaps.recomputeUnit(microBatchCount: 2, versions: versions)) == [5])
    #expect(steps(gaps.recomputeUnit(microBatchCount: 1, versions: versions)) == [5])
    #expect(gaps.recomputeUnit(microBatchCount: 4) { $0 == 6 ? nil : versions($0) } == nil)
    let unit = try #require(gaps.recomputeUnit(microBatchCount: 3, versions: versions))
    #expect(steps(unit) == [5, 6, 6] && "\(unit)" == "steps 5 to 6, computed again")

    var scene = Scene(tiers: [3])
    scene.begin("a", "b", "c")
    _ = scene.at(0, .windows(WindowTracker(clock: WindowClock(frequencies: [8]), microBatchCount: 3)))
    let opened = scene.at(1, .open(unit))
    #expect(
      opened.hasPrefix(
        """
        parameters to a: tier 0, version 5
        assign to a: attempt 1, micro-batch 0 of step 5, computed again, tiers [0]
        parameters to b: tier 0, version 6
        assign to b: attempt 2, micro-batch 0 of step 6, computed again, tiers [0]
        parameters to c: tier 0, version 6
        assign to c: attempt 3, micro-batch 1 of step 6, computed again, tiers [0]
        """), "\(opened)")
    _ = scene.result(2, "c")
    _ = scene.result(2, "b")
    let done = scene.result(2, "a")
    #expect(done.contains("complete: steps 5 to 6, computed again") && done.contains("attempts [1, 2, 3]"))
    #expect(done.contains("record 1: recompute 5, 0–0") && done.contains("record 3: recompute 6, 1–1"))
    let left = try #require(scene.core.windows?.gaps(tiers: [0], through: 6)).recompute
    #expect(
      left.mapValues { $0.map(\.microBatch).sorted() } == [
        1: [0, 1, 2], 2: [0, 1, 2], 3: [0, 1, 2], 4: [0, 1, 2], 5: [1, 2], 6: [2],
      ])
  }

  /// With more shards than workers, whoever is done first takes another one, and keeps nothing of it until it comes to
  /// the same worker again.
  @Test func theShardThatIsLeftOver() throws {
    var scene = Scene(tiers: [3])
    scene.begin("a", "b")
    _ = scene.at(0, .windows(WindowTracker(clock: WindowClock(frequencies: [8]), microBatchCount: 5)))
    func keeps(_ peer: String) -> Bool { !(scene.assignments[peer]?.windows.isEmpty ?? true) }
    func micro(_ peer: String) -> Int? { scene.assignments[peer]?.shard.node.index }
    _ = scene.at(1, WorkUnit.step(1, leaves: 5, tiers: [0], window: true))
    #expect(micro("a") == 0 && micro("b") == 1 && keeps("a") && keeps("b"))
    for (second, peer, next) in [(2, "a", 2), (2.5, "b", 3), (3, "a", 4)] {
      _ = Self.say(second, peer, &scene)
      #expect(micro(peer) == next && !keeps(peer))
    }
    for peer in ["a", "b"] { _ = Self.say(3.5, peer, &scene) }
    // What comes to the same worker again is kept from then on.
    _ = scene.at(4, WorkUnit.step(2, leaves: 5, tiers: [0], window: true))
    #expect(micro("a") == 0 && micro("b") == 1)
    _ = Self.say(5, "a", &scene)
    #expect(micro("a") == 2 && keeps("a"))
  }
}
