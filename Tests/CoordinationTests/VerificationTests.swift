import Coordination
import Testing
import WireProtocol

/// Computing twice, and what becomes of a worker that computes wrongly.
@Suite struct VerificationTests {
  /// With a fraction of 1 every shard is computed by two, the second of which sends digests alone; the step waits for
  /// both.
  @Test func everyShardTwice() {
    var scene = Scene { $0.verifyFraction = 1 }
    scene.begin("a", "b")
    let effects = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    #expect(effects.contains("assign to a: attempt 1, micro-batch 0 of step 1, tiers [0]\n"))
    #expect(effects.contains("assign to b: attempt 2, micro-batch 0 of step 1, tiers [0], digests alone"))
    // The digests may come first; they cannot stand for the bytes.
    var other = scene
    #expect(!other.result(1, "b").contains("keep"))
    #expect(other.result(2, "a").contains("keep 1\nrecord 2"))
    #expect(scene.result(1, "a").hasPrefix("keep 1"))
    #expect(scene.core.status.shards.map(\.state) == [.checking])
    #expect(
      scene.result(2, "b") == """
        record 1: train 1, 0–0, tiers [0], worker 1, 0.000s to 1.000s, committed, verified
        record 2: train 1, 0–0, tiers [0], worker 2, 0.000s to 2.000s, verified, verified
        acknowledge b: attempt 2 duplicate
        complete: step 1, loss 0.0, 2 tokens, attempts [1]
        timer 7.000s
        """)
  }

  /// The bytes of an offer were not wanted as another's were here, and that one is put into quarantine before the core is
  /// told of the offer: it counts as a word, and somebody computes the bytes.
  @Test func quarantineBetweenRefusalAndTelling() {
    var scene = Scene { $0.initialLeaseSeconds = 5 }
    scene.begin("a", "b", "c")
    _ = scene.at(0, WorkUnit.step(1, leaves: 2, tiers: [0]))
    for peer in ["a", "b", "c"] { _ = scene.heard(4, peer) }
    // a is late with micro-batch 0, so that c computes it as well; b has micro-batch 1.
    _ = scene.at(5, .timer)
    _ = scene.result(5.5, "a")
    let offer = scene.result("c")
    #expect(
      scene.core.verdict(on: offer, peer: PeerID("c"), session: scene.session("c"), term: 4) == .duplicate)
    _ = scene.at(6, .distrust(workerID: 1, identity: "h/1", reason: "x"))
    let told = scene.at(
      6, .result(peer: PeerID("c"), session: scene.session("c"), term: 4, scene.result("c", hasBytes: false)))
    #expect(!told.contains("keep 3"), "\(told)")
    #expect(told.contains("micro-batch 0 of step 1"), "\(told)")
    let again = scene.result(7, "c")
    #expect(again.contains("keep "), "\(again)")
    _ = scene.result(8, "b")
    #expect(scene.core.status.unit == nil)
  }

  /// Two that differ are decided by a third; the odd one is put away for ever, and what it said does not count.
  @Test func thirdWorkerDecides() {
    for wrong in ["a", "b"] {
      var scene = Scene { $0.verifyFraction = 1 }
      scene.begin("a", "b", "c")
      _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
      _ = scene.result(1, "a", digest: wrong == "a" ? "x" : "d")
      let disputed = scene.result(1, "b", digest: wrong == "b" ? "x" : "d")
      #expect(
        disputed.contains("log: worker 1 and worker 2 came to different results for micro-batch 0 of step 1"))
      #expect(disputed.contains("assign to c: attempt 3, micro-batch 0 of step 1, tiers [0], digests alone"))
      let decided = scene.result(2, "c")
      let (id, process) = wrong == "a" ? (1, 1) : (2, 2)
      #expect(
        decided.contains("quarantine worker \(id), h/\(process): its result for micro-batch 0 of step 1"))
      #expect(decided.contains("reject \(wrong), quarantined:"))
      #expect(decided.contains("worker \(id), 0.000s to 1.000s, outvoted"))
      if wrong == "a" {
        // Only digests of the right result have come, so that its bytes are still to be computed.
        #expect(decided.contains("discard 1"))
        #expect(decided.contains("assign to b: attempt 4, micro-batch 0 of step 1, tiers [0]\n"))
        #expect(scene.result(3, "b").contains("complete: step 1, loss 0.0, 2 tokens, attempts [4]"))
      } else {
        #expect(decided.contains("complete: step 1, loss 0.0, 2 tokens, attempts [1]"))
      }
      // It is known again whatever connection it comes on, also in the next term.
      #expect(
        scene.at(4, .hello(peer: PeerID("z"), Scene.hello(process: process))).contains(
          "reject z, quarantined"))
      var next = Scene { $0.quarantined = ["h/\(process)"] }
      #expect(next.hello(0, wrong).contains("reject \(wrong), quarantined"))
    }
  }

  /// A backup that differs from the first is as good a witness: the run does not go on before a third has decided.
  @Test func backupThatDiffers() {
    var scene = Scene()
    scene.begin("a", "b", "c", "d")
    _ = scene.at(0, WorkUnit.step(1, leaves: 4, tiers: [0]))
    for peer in ["a", "b"] { _ = scene.result(1, peer) }
    #expect(scene.at(2, .timer).contains("assign to b: attempt 6, micro-batch 3 of step 1"))
    // a's backup is wrong; c's own result crosses the word that it is not needed any more.
    #expect(scene.result(3, "a", digest: "x").contains("cancel c: attempt 3"))
    #expect(
      scene.result(3, "c").contains("log: worker 1 and worker 3 came to different results for micro-batch 2"))
    #expect(
      scene.result(4, "b").contains(
        "assign to b: attempt 7, micro-batch 2 of step 1, tiers [0], digests alone"))
    let decided = scene.result(4.5, "b")
    // All that a has said is void, also what nobody has looked at.
    #expect(decided.contains("quarantine worker 1, h/1") && decided.contains("discard 1"))
    #expect(decided.contains("assign to b: attempt 8, micro-batch 0 of step 1, tiers [0]"))
    // With a's bytes those are gone that had been added to them; what c said of micro-batch 2 takes a's place.
    #expect(
      decided.contains("discard 2\n") && decided.contains("discard 6\n") && !decided.contains("discard 3"))
    #expect(decided.contains("assign to c: attempt 9, micro-batch 1 of step 1, tiers [0]"))
    // d is still to say that it has stopped.
    let ends = ["b", "c", "b", "c"].map { scene.result(5, $0) }.joined()
    #expect(ends.contains("complete: step 1, loss 6.0, 8 tokens, attempts [8, "), "\(ends)")
    #expect(scene.core.status.unit == nil)
  }

  /// With nobody to decide the run pauses, says so, and goes on when somebody comes; in the end it stops.
  @Test func nobodyDecides() {
    var scene = Scene {
      $0.verifyFraction = 1
      $0.noWorkerSeconds = 30
    }
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    _ = scene.result(1, "a")
    _ = scene.result(1, "b", digest: "x")
    #expect(scene.core.status.run == .paused && scene.core.status.pause == .needsArbiter)
    let reason =
      "worker 1 and worker 2 came to different results for micro-batch 0 of step 1, tiers [0], and there is no other worker to decide"
    #expect(scene.core.status.reason == reason)
    #expect(scene.core.status.deadline == Instant.zero + 31)
    var alone = scene
    for second in stride(from: 2.0, through: 31, by: 1) {
      for peer in ["a", "b"] { _ = alone.heard(second, peer) }
      let effects = alone.at(second, .timer)
      #expect(effects.contains("fail: ") == (second == 31))
    }
    // To stop is possible all the same.
    var stopped = scene
    #expect(stopped.at(2, .drain).hasSuffix("drain a\ndrain b"))
    _ = scene.hello(2, "c")
    #expect(scene.ready(3, "c").contains("digests alone"))
    #expect(scene.result(4, "c").contains("quarantine worker 2"))
    #expect(scene.core.status.pause == nil)
  }

  /// One key is one worker, however many processes have it: they do not vouch for each other.
  @Test func oneKeyOneVoice() {
    var scene = Scene { $0.verifyFraction = 1 }
    _ = scene.at(0, Scene.versions([0, 0]))
    for (peer, process) in [("a", 1), ("b", 2)] {
      _ = scene.at(0, .hello(peer: PeerID(peer), Scene.hello(process: process), key: "K"))
      _ = scene.ready(0, peer)
    }
    #expect(!scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0])).contains("digests alone"))
    _ = scene.result(1, "a")
    #expect(scene.core.status.pause == .needsArbiter)
    #expect(
      scene.core.status.reason.hasSuffix("is to be computed by two workers, and there is only worker 1"))
  }

  /// Chosen by lot, a shard is not held up when there is nobody to compare with; that is counted.
  @Test func waivedWithoutASecondWorker() {
    var scene = Scene { $0.verifyFraction = 0.999_999 }
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    #expect(scene.result(1, "a").contains("committed\ncomplete"))
    #expect(scene.core.status.waivedChecks == 1)
  }

  /// Nor is it held up by the only other worker failing at it, again and again. Row 24 of the fault matrix went on for
  /// ever in one of fifty runs: nobody else came to compare, and it was no poisoned shard, as one had computed it.
  @Test func waivedWhereAllOthersFail() {
    var scene = Scene { $0.verifyFraction = 0.999_999 }
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    #expect(!scene.result(1, "a").contains("complete"))
    #expect(scene.fails(2, "b").contains("complete: step 1"))
    #expect(scene.core.status.waivedChecks == 1)
    // One that keeps failing, and is left alone for a while, is not waited for.
    _ = scene.at(3, WorkUnit.step(2, leaves: 1, tiers: [0]))
    #expect(!scene.fails(3, "b").contains("complete"))
    #expect(scene.result(3.5, "a").contains("complete: step 2"))
    #expect(scene.core.status.waivedChecks == 2)
    _ = scene.at(3.6, WorkUnit.step(3, leaves: 1, tiers: [0]))
    #expect(scene.result(3.9, "a").contains("complete: step 3"))
    #expect(scene.core.status.waivedChecks == 3)
  }

  /// What has to be computed twice waits for another worker, by name, if all others here fail at it; they are asked again
  /// meanwhile. Once one succeeds the run goes on; if none does it stops.
  @Test func pausedWhereAllOthersFail() {
    var scene = Scene {
      $0.verifyFraction = 1
      $0.noWorkerSeconds = 30
      $0.cooldownSeconds = 1
    }
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    _ = scene.result(1, "a")
    #expect(scene.core.status.pause == nil)
    _ = scene.fails(2, "b")
    #expect(scene.core.status.pause == .needsArbiter)
    #expect(
      scene.core.status.reason
        == "micro-batch 0 of step 1, tiers [0] is to be computed by two workers, and there is only worker 1: failed on h/2, the last time: worker 2: no memory"
    )
    var healed = scene
    #expect(healed.result(3, "b").contains("complete: step 1"))
    var reason: String?
    for second in stride(from: 3.0, through: 40, by: 1) where reason == nil {
      var said = ["a", "b"].map { scene.heard(second, $0) }.joined() + scene.at(second, .timer)
      if scene.assignments["b"]?.attempt ?? 0 > 0 { said += scene.fails(second, "b") }
      if said.contains("fail: ") { reason = "\(second) \(said)" }
    }
    #expect(reason?.hasPrefix("32.0 ") == true && reason?.contains("and none came for 30 s") == true)
  }

  /// Which shards are computed twice follows from seed, step and place alone: the same whoever is there and whatever
  /// comes first, others with another seed, and as many as the fraction says (within 5 standard deviations of 2,000).
  @Test func whichShardsAreChecked() {
    func checked(seed: UInt64, order: [String]) -> [String] {
      var scene = Scene {
        $0.verifyFraction = 0.2
        $0.verifySeed = seed
      }
      scene.begin("a", "b")
      var names: [String] = []
      for step in 1...1000 {
        let effects = scene.at(Double(step), WorkUnit.step(step, leaves: 2, tiers: [0])).split(
          separator: "\n")
        names += effects.filter { $0.hasSuffix("digests alone") }.map(String.init)
        while scene.core.status.unit != nil {
          for peer in order where scene.core.status.unit != nil {
            let more = scene.result(Double(step), peer).split(separator: "\n")
            names += more.filter { $0.hasSuffix("digests alone") }.map(String.init)
          }
        }
      }
      // Without worker and attempt.
      return names.compactMap { $0.split(separator: ",").dropFirst().first.map(String.init) }.sorted()
    }
    let first = checked(seed: 1, order: ["a", "b"])
    #expect(first == checked(seed: 1, order: ["b", "a"]))
    #expect(first != checked(seed: 2, order: ["a", "b"]))
    let deviation: Double = (2000 * 0.2 * 0.8).squareRoot()
    let distance: Double = abs(Double(first.count) - 400)
    #expect(distance < 5 * deviation, "\(first.count) of 2000")
  }

  /// Losses that differ between the tiers of one micro-batch show which worker is wrong once others have computed it.
  @Test func lossesThatDiffer() {
    var scene = Scene()
    scene.begin("a", "b", "c")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    _ = scene.result(1, "a", loss: 1)
    _ = scene.result(1, "b", loss: 2)
    var done = ""
    for second in 2...20 where scene.core.status.unit != nil {
      for peer in ["c", "a", "b"] where scene.core.status.unit != nil {
        done += scene.result(Double(second), peer, loss: peer == "b" ? 2 : 1)
        done += scene.at(Double(second), .timer)
      }
    }
    #expect(done.contains("quarantine worker 2"))
    #expect(done.contains("complete: step 1, loss 1.0, 2 tokens"))
  }

  /// A worker whose arithmetic comes to other bits is refused by name before it computes anything.
  @Test func probe() {
    var scene = Scene { $0.probeSHA256 = Scene.model }
    _ = scene.at(0, Scene.versions([0, 0]))
    _ = scene.hello(0, "a")
    #expect(scene.ready(1, "a").hasPrefix("probe a"))
    #expect(scene.core.status.workers.map(\.state) == [.probing])
    #expect(!scene.at(1, WorkUnit.step(1, leaves: 1)).contains("assign"))
    var silent = scene
    for second in stride(from: 2.0, to: 61, by: 1) {
      _ = silent.heard(second, "a")
      _ = silent.at(second, .timer)
    }
    _ = silent.heard(61, "a")
    #expect(silent.at(61, .timer).contains("worker 1 is gone: it did not answer the probe within 60 s"))
    var other = scene
    func probed(_ sha256: String) -> SceneEvent {
      .probed(peer: PeerID("a"), session: scene.session("a"), sha256: sha256)
    }
    #expect(
      other.at(2, probed("e")).hasPrefix(
        "reject a, numeric_profile: its arithmetic gives other bits than the coordinator's: a probe came to e"
      ))
    #expect(scene.at(2, probed(Scene.model)).contains("worker 1 is ready\nparameters to a"))
  }

  /// A worker that keeps failing is left alone, ever longer; a right result ends that.
  @Test func cooldown() {
    var scene = Scene { $0.cooldownSeconds = 2 }
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    func fails(_ second: Double) -> String {
      scene.at(
        second,
        .workerError(
          peer: PeerID("a"), session: scene.session("a"), attempt: scene.assignments["a"]?.attempt,
          reason: "no memory"))
    }
    #expect(fails(1).contains("assign to a: attempt 2"), "once is no habit")
    #expect(!fails(2).contains("assign"))
    #expect(scene.core.status.workers.map(\.state) == [.cooldown])
    #expect(
      scene.core.status.workers.first?.reason
        == "failed 2 times in a row, the last time: worker 1: no memory")
    #expect(scene.core.status.workers.first?.deadline == Instant.zero + 4)
    #expect(scene.at(4, .timer).contains("assign to a: attempt 3"))
    #expect(!fails(5).contains("assign"))
    _ = scene.heard(8, "a")
    #expect(!scene.at(8, .timer).contains("assign"))
    #expect(scene.at(9, .timer).contains("assign to a: attempt 4"))
    #expect(scene.result(10, "a").contains("complete"))
    _ = scene.at(10, WorkUnit.step(2, leaves: 1, tiers: [0]))
    #expect(fails(11).contains("assign to a: attempt 6"))
  }
}
