import Coordination
import Testing
import WireProtocol

/// What happens when something goes wrong, told event by event.
@Suite struct FaultTests {
  /// A silent worker is lost at its deadline; another has its shard.
  @Test func silentWorker() {
    var scene = Scene()
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 2))
    _ = scene.result(1, "b")
    // It is late, so that the other begins to compute it as well.
    #expect(scene.at(2, .timer).contains("assign to b: attempt 3, micro-batch 0 of step 1, tiers [0, 1]"))
    _ = scene.heard(5, "b")
    #expect(
      scene.at(6, .timer).contains(
        """
        record 1: train 1, 0–0, tiers [0, 1], worker 1, 0.000s to 6.000s, lost
        worker 1 is gone: nothing was heard of it for 6 s
        """))
    // What the lost worker still says is refused, so that it joins again.
    #expect(
      scene.result(7, "a").hasPrefix(
        "reject a, unknown_session: this connection has no session; join again"))
    #expect(scene.result(7, "b").contains("complete: step 1, loss 1.0, 4 tokens, attempts [3, 2]"))
    #expect(scene.core.status.run == .idle)
  }

  /// A lease that ends gives the shard to another; the first result counts, the second is a duplicate.
  @Test func lateResult() {
    var scene = Scene { $0.initialLeaseSeconds = 5 }
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    _ = scene.heard(4, "a")
    _ = scene.heard(4, "b")
    #expect(
      scene.at(5, .timer) == """
        log: Worker 1 did not finish micro-batch 0 of step 1, tiers [0] within 5 s: attempt 1 is given to another as well
        parameters to b: tier 0, version 0
        parameters to b: tier 1, version 0
        assign to b: attempt 2, micro-batch 0 of step 1, tiers [0]
        timer 10.000s
        """)
    #expect(scene.core.status.workers.map(\.state) == [.suspect, .busy])
    var late = scene
    #expect(
      late.result(6, "a").contains("worker 1, 0.000s to 6.000s, committed\ncancel b: attempt 2\ncomplete"))
    #expect(
      late.result(7, "b") == """
        record 2: train 1, 0–0, tiers [0], worker 2, 5.000s to 7.000s, stale
        acknowledge b: attempt 2 stale
        """)
    #expect(
      scene.result(6, "b").contains("worker 2, 5.000s to 6.000s, committed\ncancel a: attempt 1\ncomplete"))
    #expect(scene.result(7, "a").contains("stale"))
  }

  /// While its unit is still open, a late result of the same bytes is a duplicate.
  @Test func duplicates() {
    var scene = Scene { $0.initialLeaseSeconds = 5 }
    scene.begin("a", "b", "c")
    _ = scene.at(0, WorkUnit.step(1, leaves: 2, tiers: [0]))
    for peer in ["a", "b", "c"] { _ = scene.heard(4, peer) }
    #expect(scene.at(5, .timer).contains("assign to c: attempt 3, micro-batch 0 of step 1"))
    let first = scene.result("c")
    let effects = scene.result(6, "c")
    #expect(effects.contains("keep 3\ncancel a: attempt 1\nassign to c: attempt 4, micro-batch 1"))
    // The same message again.
    #expect(
      scene.at(6, .result(peer: PeerID("c"), session: scene.session("c"), term: 4, first))
        == "acknowledge c: attempt 3 duplicate")
    #expect(scene.result(6.5, "a") == "acknowledge a: attempt 1 duplicate")
    #expect(scene.core.status.ignoredResults == [.duplicate: 2])
    #expect(scene.result(7, "b").contains("worker 1, 0.000s to 6.500s, duplicate"))
  }

  /// Shards of the same micro-batches must have the same loss, to the bit; if not, a third worker decides.
  @Test func lossesMustAgree() {
    var scene = Scene()
    scene.begin("a", "b", "c")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    _ = scene.result(1, "a", loss: 1)
    let effects = scene.result(1, "b", loss: 1.0.nextUp)
    #expect(effects.contains("came with different losses; other workers compute them as well"))
    #expect(effects.contains("tiers [0], digests alone") && effects.contains("tiers [1], digests alone"))
  }

  /// Results that are not what was asked for.
  @Test func corruptResults() {
    func outcome(_ change: (ResultSummary) -> ResultSummary) -> String {
      var scene = Scene()
      scene.begin("a")
      _ = scene.at(0, WorkUnit.step(1, leaves: 1))
      return scene.at(
        1, .result(peer: PeerID("a"), session: scene.session("a"), term: 4, change(scene.result("a"))))
    }
    func with(_ result: ResultSummary, _ objects: [ResultSummary.Object], tokens: Int = 2) -> ResultSummary {
      ResultSummary(
        attempt: result.attempt, lossSum: result.lossSum, tokens: tokens, seconds: 0, objects: objects)
    }
    #expect(outcome { $0 }.contains("committed"))
    #expect(outcome { with($0, Array($0.objects.dropLast())) }.contains("corrupt"))
    #expect(
      outcome { with($0, $0.objects + [.init(name: "x", sha256: "d", byteCount: 4)]) }.contains("corrupt"))
    // 2 tokens are trained; that is not for a worker to say.
    for tokens in [0, 1, 3, -2, Int.max] {
      #expect(outcome { with($0, $0.objects, tokens: tokens) }.contains("corrupt"), "\(tokens)")
    }
    func first(_ change: (ResultSummary.Object) -> ResultSummary.Object) -> String {
      outcome { with($0, [change($0.objects[0])] + $0.objects.dropFirst()) }
    }
    #expect(first { $0 }.contains("committed"))
    for difference in [-4, 4] {
      let object = first { .init(name: $0.name, sha256: "d", byteCount: $0.byteCount + difference) }
      #expect(object.contains("corrupt"), "\(difference) bytes more")
    }
    #expect(
      first { .init(name: $0.name + ".0", sha256: "d", byteCount: $0.byteCount) }.contains("corrupt"))
    // As many as were asked for, but one of them twice.
    #expect(outcome { with($0, [$0.objects[0]] + $0.objects.dropLast()) }.contains("corrupt"))
  }

  /// Results of another term, another worker's attempt, or no attempt at all.
  @Test func staleResults() {
    var scene = Scene()
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 2))
    #expect(scene.result(1, "a", term: 3) == "acknowledge a: attempt 1 stale")
    let mine = scene.result("a")
    #expect(
      scene.at(1, .result(peer: PeerID("b"), session: scene.session("b"), term: 4, mine))
        == "acknowledge b: attempt 1 stale")
    let none = ResultSummary(attempt: 99, lossSum: 0, tokens: 1, seconds: 0, objects: [])
    #expect(
      scene.at(1, .result(peer: PeerID("b"), session: scene.session("b"), term: 4, none))
        == "acknowledge b: attempt 99 stale")
    // A session that is not the peer's: not even a sign of life.
    #expect(scene.at(1, .result(peer: PeerID("b"), session: .none, term: 4, mine)) == "")
    #expect(scene.core.status.ignoredResults == [.stale: 3])
    #expect(scene.result(2, "a").contains("keep 1"))
  }

  /// A worker that joins again, in a process that may be the old one or a new one of the same name, as in a container.
  private func joinAgain(_ scene: inout Scene, _ seconds: Double, _ peer: String, lives: Bool) -> String {
    var hello = Scene.hello()
    if lives { hello.terms = ["run": 4] }
    return scene.at(seconds, .hello(peer: PeerID(peer), hello)) + "\n" + scene.ready(seconds, peer)
  }

  /// A worker behind a partition makes no progress either; it does not hang, and what it computes is no poison.
  @Test func silenceIsNoStall() {
    var scene = Scene { $0.initialLeaseSeconds = 5 }
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    _ = scene.heard(1, "a")
    _ = scene.heard(5, "b")
    #expect(scene.at(5, .timer).contains("assign to b: attempt 2"))
    #expect(scene.core.status.shards.map(\.failures) == [0])
    // It is heard before it is lost: nothing has happened.
    _ = scene.heard(6, "a")
    #expect(scene.core.status.shards.map(\.failures) == [0])
    // The other is late too, and is heard: that is a failure.
    _ = scene.heard(9.5, "b")
    _ = scene.at(10, .timer)
    #expect(scene.core.status.shards.map(\.failures) == [1])
    _ = scene.heard(11.5, "b")
    #expect(scene.at(12, .timer).contains("worker 1 is gone: nothing was heard"))
    #expect(scene.core.status.shards.map(\.failures) == [2])
    _ = joinAgain(&scene, 13, "a1", lives: true)
    #expect(scene.core.status.shards.map(\.failures) == [1])
  }

  /// Nobody is left: paused, with a reason and an end; somebody comes: it goes on.
  @Test func pausedWithoutWorkers() {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    _ = scene.at(1, .peerLost(peer: PeerID("a"), reason: "its process ended (signal 9)"))
    #expect(scene.core.status.run == .paused)
    #expect(scene.core.status.reason == "there is no worker")
    #expect(scene.core.status.deadline == Instant.zero + 601)
    var alone = scene
    #expect(alone.at(6, .timer) == "timer 601.000s")
    _ = scene.hello(2, "b")
    #expect(scene.ready(3, "b").contains("assign to b: attempt 2"))
    #expect(scene.core.status.run == .stepOpen)
    #expect(alone.at(601, .timer).contains("fail: no worker was ready for 600 s while step 1"))
  }

  @Test func rejections() {
    func answer(_ change: (inout Hello) -> Void) -> String {
      var hello = Scene.hello()
      change(&hello)
      var scene = Scene { $0.fleet.maximumWorkers = 1 }
      return scene.at(0, .hello(peer: PeerID("a"), hello)).split(separator: "\n").last.map(String.init) ?? ""
    }
    #expect(
      answer { $0.numericProfiles = ["bf16"] }.contains("numeric_profile: its numeric profile is \"bf16\""))
    #expect(
      answer { $0.numericProfiles = ["a", "b"] }.contains("is \"a\" or \"b\" and the run's is \"f32-1\""))
    #expect(answer { $0.numericProfiles = ["bf16", "f32-1"] }.hasPrefix("timer"))
    #expect(answer { $0.modelSHA256 = String(repeating: "b", count: 64) }.contains("reject a, model"))
    #expect(answer { $0.modelSHA256 = Scene.model }.hasPrefix("timer"))
    var scene = Scene { $0.fleet.maximumWorkers = 1 }
    scene.begin("a")
    #expect(scene.hello(1, "b").contains("reject b, full"))
    // The wrong model, loaded.
    var other = Scene()
    _ = other.hello(0, "a")
    let ready = Ready(modelSHA256: String(repeating: "b", count: 64))
    #expect(
      other.at(1, .ready(peer: PeerID("a"), session: other.session("a"), ready)).contains("reject a, model"))
    #expect(other.core.status.workers.isEmpty)
  }

  /// HELLO that comes twice has one answer and one session; a local worker that is started again replaces the old.
  @Test func joinsTwice() {
    var scene = Scene()
    _ = scene.hello(0, "a", local: 0)
    let session = scene.session("a")
    #expect(scene.hello(1, "a", local: 0) == "welcome a")
    #expect(scene.session("a") == session)
    _ = scene.ready(1, "a")
    #expect(scene.hello(2, "a", local: 0) == "")
    #expect(
      scene.hello(3, "b", local: 0)
        == "worker 1 is gone: another process took its place\nwelcome b\nb enters as worker 2")
  }

  @Test func loadingIsBounded() {
    var scene = Scene { $0.loadSeconds = 3 }
    #expect(scene.hello(0, "a") == "welcome a\na enters as worker 1\ntimer 3.000s")
    _ = scene.heard(2, "a")
    #expect(scene.at(3, .timer).hasPrefix("worker 1 is gone: it did not load the model within 3 s"))
  }

  /// A worker that fetches the model has its time anew with every byte, not with words alone, and is seen to do it.
  @Test func fetchingIsBounded() {
    var scene = Scene { ($0.loadSeconds, $0.silenceSeconds) = (3, 100) }
    _ = scene.hello(0, "a")
    func fetched(_ second: Double, _ bytes: Int, total: Int? = 40_000_000) -> String {
      scene.at(
        second,
        .fetched(
          peer: PeerID("a"), session: scene.session("a"),
          ModelFetchState(receivedBytes: bytes, totalBytes: total)))
    }
    #expect(fetched(2, 0, total: nil) == "")
    #expect(scene.core.status.workers.map(\.reason) == ["fetches the model: 0.0 MB are there"])
    for second in stride(from: 4.0, through: 20, by: 2) {
      _ = fetched(second, Int(second) * 1_250_000)
      #expect(!scene.at(second, .timer).contains("gone"))
    }
    #expect(scene.core.status.workers.map(\.reason) == ["fetches the model: 25.0 of 40.0 MB are there"])
    #expect(scene.core.status.workers.map(\.deadline) == [.zero + 23])
    _ = fetched(22, 25_000_000)
    #expect(
      scene.at(23, .timer).hasPrefix(
        "worker 1 is gone: it did not load the model within 3 s, 25.0 of 40.0 MB are there the last time"))
  }

  /// More and less, for ever, is no fetch; nor is more than there is.
  @Test func fetchingBackAndForth() {
    var scene = Scene { ($0.loadSeconds, $0.silenceSeconds) = (3, 100) }
    _ = scene.hello(0, "a")
    func fetched(_ second: Double, _ bytes: Int) -> String {
      scene.at(
        second,
        .fetched(
          peer: PeerID("a"), session: scene.session("a"),
          ModelFetchState(receivedBytes: bytes, totalBytes: 1000)))
    }
    var last = 0
    while last < 1000, scene.core.status.workers.count == 1 {
      last += 1
      _ = fetched(2 * Double(last), 1 + last % 2)
      _ = scene.at(2 * Double(last), .timer)
    }
    #expect((100...200).contains(last), "\(last)")

    _ = scene.hello(3000, "a")
    _ = fetched(3002, 1001)
    _ = fetched(3002, .max)
    #expect(scene.core.status.workers.map(\.reason) == ["loads the model"])
    #expect(scene.core.status.workers.map(\.deadline) == [.zero + 3003])
  }

  /// Once it is ready, a credit changes nothing; one of another session never does.
  @Test func fetchingIsForThoseWhoLoad() {
    var scene = Scene { $0.loadSeconds = 3 }
    _ = scene.hello(0, "a")
    let state = ModelFetchState(receivedBytes: 1, totalBytes: nil)
    _ = scene.at(1, .fetched(peer: PeerID("a"), session: SessionID(high: 9, low: 9), state))
    #expect(scene.core.status.workers.map(\.deadline) == [.zero + 3])
    _ = scene.ready(2, "a")
    _ = scene.at(2, .fetched(peer: PeerID("a"), session: scene.session("a"), state))
    #expect(scene.core.status.workers.map(\.reason) == ["waits for work"])
  }

  /// A worker that lives but does not finish is given up after three leases.
  @Test func hangingWorker() {
    var scene = Scene { $0.initialLeaseSeconds = 5 }
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    for second in stride(from: 1.0, to: 15, by: 1) {
      _ = scene.heard(second, "a")
      _ = scene.at(second, .timer)
    }
    #expect(scene.core.status.workers.map(\.state) == [.suspect])
    #expect(
      scene.at(15, .timer).contains(
        """
        record 1: train 1, 0–0, tiers [0, 1], worker 1, 0.000s to 15.000s, expired
        worker 1 is gone: it did not finish attempt 1 within 15 s
        """))
  }

  /// Leases follow the median time of a micro-batch: 3 × 4 s × 2, not the floor of 5 s; and a failed shard has twice
  /// the time.
  @Test func leasesFollowTheTimes() {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    _ = scene.result(4, "a")
    _ = scene.at(10, WorkUnit.step(2, leaves: 2))
    #expect(scene.core.status.shards.map(\.deadline) == [.zero + 34])
    _ = scene.at(11, .workerError(peer: PeerID("a"), session: scene.session("a"), attempt: 2, reason: "x"))
    #expect(scene.core.status.shards.map(\.deadline) == [.zero + 59])
  }

  /// When the coordinator itself stood still, nobody is judged before being heard, and leases are longer by that time.
  @Test func stallOfTheCoordinator() {
    var scene = Scene { $0.initialLeaseSeconds = 20 }
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    #expect(scene.at(30, .timer) == "timer 33.000s")
    #expect(scene.core.status.workers.map(\.state) == [.busy])
    #expect(scene.heard(31, "a") == "")
    #expect(scene.at(33, .timer) == "timer 37.000s")
    // Silence after that is judged as ever.
    #expect(scene.at(37, .timer).contains("worker 1 is gone"))
  }

  /// What the service must not do stops the run instead of corrupting it.
  @Test func misuse() {
    var scene = Scene()
    #expect(
      scene.at(0, WorkUnit.step(1, leaves: 1)).contains(
        "fail: step 1 was opened before the parameters of tier 0"))
    scene = Scene()
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    var twice = scene
    #expect(twice.at(0, WorkUnit.step(2, leaves: 1)).contains("fail: step 2 was opened while step 1"))
    #expect(scene.at(0, Scene.versions([1, 1])).contains("fail: parameters changed while step 1"))
    scene = Scene()
    scene.begin("a")
    #expect(scene.at(0, WorkUnit.step(1, leaves: 0)).contains("fail"))
  }
}
