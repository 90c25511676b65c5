import Coordination
import Testing
import WireProtocol

/// A run without faults, told event by event. The rules are those of PROTOCOL.md.
@Suite struct StepTests {
  @Test func twoWorkersComputeAStep() {
    var scene = Scene()
    #expect(scene.at(0, Scene.versions([0, 0])) == "")
    #expect(scene.hello(0, "a") == "welcome a\na enters as worker 1\ntimer 6.000s")
    #expect(scene.ready(1, "a") == "worker 1 is ready")
    #expect(scene.hello(1, "b") == "welcome b\nb enters as worker 2")
    #expect(scene.ready(2, "b") == "worker 2 is ready")
    #expect(
      scene.at(3, WorkUnit.step(1, leaves: 4)) == """
        parameters to a: tier 0, version 0
        parameters to a: tier 1, version 0
        assign to a: attempt 1, micro-batches 0–1 of step 1, tiers [0, 1]
        parameters to b: tier 0, version 0
        parameters to b: tier 1, version 0
        assign to b: attempt 2, micro-batches 2–3 of step 1, tiers [0, 1]
        """)
    #expect(
      scene.result(4, "b") == """
        keep 2
        timer 5.000s
        """)
    #expect(
      scene.result(5, "a") == """
        keep 1
        record 1: train 1, 0–1, tiers [0, 1], worker 1, 3.000s to 5.000s, committed
        record 2: train 1, 2–3, tiers [0, 1], worker 2, 3.000s to 4.000s, committed
        complete: step 1, loss 6.0, 8 tokens, attempts [1, 2]
        timer 10.000s
        """)
    // The workers are told when nothing can be lost any more.
    let unit = WorkUnit(
      purpose: .train, step: 1, leafCount: 4, dueTiers: [0, 1], trainedTokens: [2, 2, 2, 2])
    // What is durable is another unit: nobody is told anything.
    let another = WorkUnit(purpose: .train, step: 2, leafCount: 4, dueTiers: [0, 1])
    #expect(scene.at(5.5, .committed(another)) == "")
    #expect(
      scene.at(5.5, .committed(unit)) == """
        acknowledge a: attempt 1 committed
        acknowledge b: attempt 2 committed
        """)
    #expect(scene.at(5.5, .committed(unit)) == "")
  }

  /// Only tiers with a new version are sent, and only once to each worker.
  @Test func onlyChangedTiersMove() {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1))
    _ = scene.result(1, "a")
    _ = scene.at(1, .parametersChanged([0: TierVersion(version: 1, digest: "v1")]))
    #expect(
      scene.at(1, WorkUnit.step(2, leaves: 1, tiers: [0])) == """
        parameters to a: tier 0, version 1
        assign to a: attempt 2, micro-batch 0 of step 2, tiers [0]
        """)
    #expect(scene.assignments["a"]?.versions == [1, 0])
    _ = scene.result(2, "a")
    #expect(
      scene.at(2, .open(WorkUnit(purpose: .evaluate, step: 2, leafCount: 1, dueTiers: [])))
        == "assign to a: attempt 3, micro-batch 0 of the evaluation after step 2")
  }

  /// A worker that joins late is sent everything, and takes what is pending.
  @Test func lateWorker() {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 2))
    _ = scene.hello(1, "b")
    #expect(scene.ready(2, "b") == "worker 2 is ready")
    _ = scene.result(3, "a")
    #expect(
      scene.at(3, WorkUnit.step(2, leaves: 2)) == """
        assign to a: attempt 2, micro-batch 0 of step 2, tiers [0, 1]
        parameters to b: tier 0, version 0
        parameters to b: tier 1, version 0
        assign to b: attempt 3, micro-batch 1 of step 2, tiers [0, 1]
        """)
  }

  /// More workers than micro-batches: the tiers are divided, and the loss is counted once.
  @Test func tiersAreDivided() {
    var scene = Scene()
    scene.begin("a", "b", "c")
    let effects = scene.at(0, WorkUnit.step(1, leaves: 1)).split(separator: "\n").filter {
      $0.hasPrefix("assign")
    }
    #expect(
      effects == [
        "assign to a: attempt 1, micro-batch 0 of step 1, tiers [0]",
        "assign to b: attempt 2, micro-batch 0 of step 1, tiers [1]",
      ])
    _ = scene.result(1, "a", loss: 0.75)
    #expect(
      scene.result(1, "b", loss: 0.75).hasSuffix("complete: step 1, loss 0.75, 2 tokens, attempts [1, 2]"))
  }

  /// In a window every micro-batch's gradient comes by itself.
  @Test func windowResults() {
    var scene = Scene()
    scene.begin("a")
    _ = scene.at(0, WorkUnit.step(1, leaves: 2, window: true))
    #expect(scene.result("a").objects.map(\.name) == ["tier.0.0", "tier.0.1", "tier.1.0", "tier.1.1"])
    #expect(scene.result("a").objects.map(\.byteCount) == [12, 12, 4, 4])
    #expect(scene.result(1, "a").contains("committed"))
  }

  /// The first unit waits for the workers that the coordinator has started, but not for ever.
  @Test func gathersLocalWorkers() {
    var scene = Scene { $0.expectedLocalWorkers = 2 }
    _ = scene.at(0, Scene.versions([0, 0]))
    _ = scene.at(0, WorkUnit.step(1, leaves: 2))
    #expect(scene.core.status.run == .gathering)
    #expect(scene.core.status.reason == "there is no worker")
    _ = scene.hello(1, "a", local: 0)
    #expect(scene.core.status.reason == "1 worker is loading the model")
    #expect(scene.ready(2, "a") == "worker 1 is ready")
    #expect(scene.core.status.reason == "1 of 2 local workers are ready")
    #expect(scene.core.status.deadline == Instant.zero + 12)
    var waiting = scene
    _ = waiting.heard(7, "a")
    #expect(waiting.at(12, .timer).contains("micro-batches 0–1 of step 1"))
    _ = scene.hello(3, "b", local: 1)
    #expect(scene.ready(4, "b").contains("assign to b: attempt 2, micro-batch 1 of step 1"))
  }

  /// What is open when the run is over is not needed any more; then the workers are sent away, and nobody else is taken.
  @Test func closes() {
    var scene = Scene()
    scene.begin("a", "b")
    _ = scene.at(0, WorkUnit.step(1, leaves: 1, tiers: [0]))
    #expect(
      scene.at(1, .drain) == """
        record 1: train 1, 0–0, tiers [0], worker 1, 0.000s to 1.000s, cancelled
        cancel a: attempt 1
        worker 1 is gone: the run is over
        a leaves run 1
        worker 2 is gone: the run is over
        b leaves run 1
        drained
        drain a
        drain b
        """)
    #expect(
      scene.hello(1, "c")
        == "log: A worker on h was turned away: the run is over\nreject c, draining: the run is over")
    #expect(scene.at(3, .goodbye(peer: PeerID("a"), session: scene.session("a"))) == "")
    #expect(scene.at(5.5, .goodbye(peer: PeerID("b"), session: scene.session("b"))).contains("closed"))
  }

  /// Workers that do not leave are left behind, in time.
  @Test func leavingIsBounded() {
    var scene = Scene()
    scene.begin("a")
    #expect(scene.at(1, .drain).hasSuffix("drain a"))
    _ = scene.heard(4, "a")
    #expect(scene.at(6, .timer).contains("closed"))
  }

  /// Ids and attempts go on from an earlier term; sessions differ between terms.
  @Test func numbersGoOn() {
    var scene = Scene {
      $0.firstWorkerID = 7
      $0.firstAttempt = 100
    }
    scene.begin("a")
    #expect(scene.core.status.workers.map(\.id) == [7])
    #expect(scene.at(0, WorkUnit.step(1, leaves: 1)).contains("attempt 100"))
    var other = Scene { $0.sessionSeed = 5 }
    other.begin("a")
    #expect(other.session("a") != scene.session("a"))
  }
}
