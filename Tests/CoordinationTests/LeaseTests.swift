import Coordination
import Testing
import WireProtocol

/// Progress, hanging, backups: what keeps one slow or stuck worker from holding up a step.
@Suite struct LeaseTests {
  private func renew(_ scene: inout Scene, _ second: Double, _ peer: String, _ attempt: Int, _ progress: Int)
    -> String
  {
    scene.at(
      second,
      .renewed(peer: PeerID(peer), session: scene.session(peer), attempt: attempt, progress: progress))
  }

  /// A lease does not end while its worker gets on, up to three times its length; then another gets the shard too.
  @Test func leaseIsRenewed() {
    var scene = Scene { $0.initialLeaseSeconds = 5 }
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    for second in 1..<15 {
      _ = renew(&scene, Double(second), "a", 1, second)
      _ = scene.at(Double(second), .timer)
      #expect(scene.core.status.workers.map(\.state) == [.busy])
    }
    _ = renew(&scene, 15, "a", 1, 15)
    #expect(
      scene.at(15, .timer).hasPrefix(
        "log: Worker 1 did not finish micro-batch 0 of step 1, tiers [0, 1] within 15 s"))
    #expect(scene.core.status.workers.map(\.state) == [.suspect])
    #expect(scene.result(16, "a").contains("complete"))
  }

  /// A worker whose program answers but whose computation stands still is found by that, long before its lease ends.
  @Test func hangingComputation() {
    var scene = Scene { $0.initialLeaseSeconds = 100 }
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    // 10 steps of 0.1 s each, so that the limit is its floor of 5 s.
    _ = scene.result(1, "a", progress: 10)
    _ = scene.at(1, WorkUnit.step(2, leaves: 1, tiers: [0]))
    #expect(renew(&scene, 1.5, "a", 2, 4) == "")
    // Nobody is idle who could make a backup.
    _ = scene.at(1.5, .goodbye(peer: PeerID("b"), session: scene.session("b")))
    for second in 2..<7 {
      _ = renew(&scene, Double(second), "a", 2, 4)
      _ = scene.at(Double(second), .timer)
    }
    _ = scene.hello(6, "c")
    #expect(scene.core.status.workers.map(\.state) == [.busy, .loading])
    #expect(
      scene.at(6.5, .timer).hasPrefix(
        "log: Worker 1 made no progress at micro-batch 0 of step 2, tiers [0] for 5 s: attempt 2 is given to another"
      ))
    #expect(scene.ready(6.5, "c").contains("assign to c: attempt 3, micro-batch 0 of step 2"))
    #expect(scene.result(7, "c").contains("cancel a: attempt 2\ncomplete: step 2"))
    // It does not stop either: it is given up.
    _ = renew(&scene, 11, "a", 2, 4)
    #expect(scene.at(11.5, .timer).contains("worker 1 is gone: it did not finish attempt 2 within 10 s"))
  }

  /// Bytes that move are progress as well.
  @Test func slowTransfer() {
    var scene = Scene { $0.initialStallSeconds = 5 }
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    for second in stride(from: 1.0, to: 20, by: 1) {
      _ = scene.at(second, .moved(peer: PeerID("a"), session: scene.session("a"), attempt: nil))
      #expect(!scene.at(second, .timer).contains("log"))
    }
    _ = scene.at(20, .moved(peer: PeerID("a"), session: scene.session("a"), attempt: 1))
    #expect(scene.core.status.shards.map(\.state) == [.uploading])
    // The timer was set before the last bytes came.
    #expect(!scene.at(20, .timer).contains("made no progress"))
    _ = scene.heard(25, "a")
    #expect(scene.at(25, .timer).contains("made no progress"))
  }

  /// An idle worker computes the slowest shard as well, from twice the usual time on; the slower one is stopped.
  @Test func backup() {
    var scene = Scene()
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 2))
    #expect(scene.result(1, "a") == "keep 1\ntimer 2.000s")
    #expect(
      scene.at(2, .timer) == """
        log: Attempt 2 (micro-batch 1 of step 1, tiers [0, 1]) of worker 2 is late: worker 1 computes it as well
        assign to a: attempt 3, micro-batch 1 of step 1, tiers [0, 1]
        timer 6.000s
        """)
    #expect(scene.core.status.shards.map(\.state) == [.verified, .speculated])
    var slow = scene
    #expect(
      scene.result(3, "a") == """
        keep 3
        record 1: train 1, 0–0, tiers [0, 1], worker 1, 0.000s to 1.000s, committed
        record 3: train 1, 1–1, tiers [0, 1], worker 1, 2.000s to 3.000s, committed
        cancel b: attempt 2
        complete: step 1, loss 1.0, 4 tokens, attempts [1, 3]
        """)
    // The next step need not wait for it: what is handed out goes to those that are free.
    #expect(
      scene.at(3, WorkUnit.step(2, leaves: 2)).contains("assign to a: attempt 4, micro-batch 0 of step 2"))
    #expect(
      scene.at(3.1, .cancelled(peer: PeerID("b"), session: scene.session("b"), attempt: 2)).contains(
        """
        record 2: train 1, 1–1, tiers [0, 1], worker 2, 0.000s to 3.100s, cancelled
        assign to b: attempt 5, micro-batch 1 of step 2, tiers [0, 1]
        """))
    // This one is known to be slow, so nobody waits for twice the usual time again.
    #expect(scene.result(4, "a").contains("worker 2 is late: worker 1 computes it as well"))
    // Had the slow one been first, the backup would have been stopped.
    #expect(slow.result(2.5, "b").contains("cancel a: attempt 3\ncomplete"))
  }

  /// Before anything is known of how long a shard takes there are no backups, and none of a shard that has one.
  @Test func noBackups() {
    var scene = Scene()
    scene.begin("a", "b", "c")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    _ = scene.heard(4, "a")
    #expect(!scene.at(5, .timer).contains("assign"))
    _ = scene.result(5.5, "a")
    _ = scene.at(6, WorkUnit.step(2, leaves: 1, tiers: [0]))
    for peer in ["a", "b", "c"] { _ = scene.heard(11, peer) }
    #expect(scene.at(17.5, .timer).contains("timer"))
  }

  /// DECLINE is a failure of the attempt; the worker is sent its parameters again.
  @Test func declines() {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    func decline(_ scene: inout Scene, _ attempt: Int) -> String {
      scene.at(
        1,
        .declined(
          peer: PeerID("a"), session: scene.session("a"), attempt: attempt, reason: "tier 0 is missing"))
    }
    #expect(
      decline(&scene, 1).contains(
        "parameters to a: tier 0, version 0\nparameters to a: tier 1, version 0\nassign to a: attempt 2"))
    #expect(decline(&scene, 2).contains("the last time: worker 1: it declined: tier 0 is missing"))
    #expect(scene.core.status.shards.map(\.failures) == [2])
  }

  /// A node goes to the worker that had it before, in whatever order they joined or finished.
  @Test func samePlaceAgain() {
    var scene = Scene()
    scene.begin("a", "b", "c")
    _ = scene.at(0, WorkUnit.step(1, leaves: 3))
    for peer in ["c", "a", "b"] { _ = scene.result(1, peer) }
    let first = scene.assignments.mapValues(\.shard)
    _ = scene.at(2, WorkUnit.step(2, leaves: 3))
    #expect(scene.assignments.mapValues(\.shard) == first)
    // Who takes the place of one that is gone gets what that one had.
    _ = scene.at(2, .peerLost(peer: PeerID("b"), reason: "x"))
    _ = scene.hello(2, "d")
    _ = scene.ready(2, "d")
    for peer in ["a", "c", "d"] { _ = scene.result(3, peer) }
    #expect(scene.core.status.run == .idle)
    _ = scene.at(3, WorkUnit.step(3, leaves: 3))
    #expect(scene.assignments["d"]?.shard == first["b"])
    #expect(scene.assignments["a"]?.shard == first["a"])
  }

  /// What is not wanted is not uploaded: the answer is known from what a result says of itself.
  @Test func verdicts() {
    var scene = Scene()
    scene.begin("a", "b", "c")
    _ = scene.at(0, WorkUnit.step(1, leaves: 3))
    func verdict(_ peer: String, term: UInt64 = 4, digest: String = "d", loss: Double? = nil)
      -> ResultOutcome?
    {
      scene.core.verdict(
        on: scene.result(peer, loss: loss, digest: digest), peer: PeerID(peer),
        session: scene.session(peer), term: term)
    }
    #expect(verdict("a") == nil)
    #expect(verdict("a", loss: .nan) == .corrupt)
    #expect(verdict("a", term: 3) == .stale)
    _ = scene.result(1, "a")
    #expect(verdict("a") == .stale, "its attempt is over")
    // The backup of b's shard is done first; c still computes.
    #expect(scene.at(2, .timer).contains("assign to a: attempt 4, micro-batch 1 of step 1"))
    _ = scene.result(3, "a")
    #expect(verdict("b") == .duplicate)
    #expect(verdict("b", digest: "e") == nil, "it may be the one that is right")
    _ = scene.result(3, "c")
    #expect(scene.core.status.run == .idle)
    #expect(verdict("b") == .stale, "its unit is over")
  }
}
