import Coordination
import Testing
import WireProtocol

/// Numbers that are not finite: found when they come, and their worker's failure until another comes to the same (row
/// 14 of the fault matrix).
@Suite struct NotFiniteTests {
  private func scene(_ peers: String...) -> Scene {
    var scene = Scene()
    scene.begin()
    for peer in peers { _ = scene.join(0, peer) }
    _ = scene.at(0, WorkUnit.step(3, leaves: 1))
    return scene
  }

  /// Finite loss, or not: the result is not kept, another worker computes the shard, and the run goes on.
  @Test(arguments: [(1.0, false), (.nan, true), (.infinity, true), (-.infinity, false)])
  func oneWorkerAlone(loss: Double, isFinite: Bool) {
    var scene = scene("a", "b")
    // One shard by tier for each.
    let lines = scene.result(1, "a", loss: loss, isFinite: isFinite)
    #expect(lines.contains("acknowledge a: attempt 1 corrupt"))
    #expect(lines.contains("worker 1, 0.000s to 1.000s, corrupt") && !lines.contains("keep"))
    #expect(scene.result(2, "b", loss: 0).contains("keep 2"))
    #expect(scene.result(3, "b", loss: 0).contains("complete: step 3, loss 0.0"))
  }

  /// Two that say the same end the run, which names step and micro-batches.
  @Test func twoThatAgree() {
    var scene = scene("a")
    // Twice on the same process is no agreement, and then it is left alone for a second.
    for _ in 0..<2 { #expect(!scene.result(1, "a", isFinite: false).contains("fail:")) }
    _ = scene.join(1.5, "b")
    #expect(scene.assignments["b"] != nil)
    let lines = scene.result(3, "b", isFinite: false)
    #expect(
      lines.contains(
        "fail: not finite: micro-batch 0 of step 3, tiers [0, 1]: worker 1 (a/1) and worker 2 (b/1) came to the same: "
          + "worker 2: a gradient is not finite"))
    #expect(lines.contains(", corrupt\n"))
  }

  /// The word of workers that do not send such results counts alike; other words, or other bytes, are no agreement.
  @Test func errorsThatAgree() {
    let reason = "a gradient of tier 0 of micro-batch 0 of step 3 is not finite"
    var scene = scene("a")
    for _ in 0..<2 { _ = scene.fails(1, "a", reason, isNotFinite: true) }
    _ = scene.join(1.5, "b")
    var other = scene
    #expect(
      scene.fails(3, "b", reason, isNotFinite: true).contains("fail: not finite: micro-batch 0 of step 3"))
    #expect(!other.fails(3, "b", reason + "!", isNotFinite: true).contains("fail:"))
    var bytes = self.scene("a")
    for _ in 0..<2 { _ = bytes.result(1, "a", digest: "x", isFinite: false) }
    _ = bytes.join(1.5, "b")
    #expect(!bytes.result(3, "b", digest: "y", isFinite: false).contains("fail:"))
  }

  /// One identity alone: two fresh processes that agree end the run; the same process twice does not.
  @Test func alone() {
    var scene = Scene()
    scene.begin()
    _ = scene.join(0, "a", host: "one", local: 0)
    _ = scene.at(0, WorkUnit.step(3, leaves: 1))
    #expect(scene.result(1, "a", isFinite: false).contains("a fresh process computes it once more"))
    #expect(scene.join(2, "b", host: "one", process: 2, local: 0).contains("assign to b"))
    #expect(scene.result(3, "b", isFinite: false).contains("fail: not finite"))
    // As one key it is one identity, whatever its process.
    var key = Scene()
    key.begin()
    _ = key.join(0, "a", key: "K")
    _ = key.at(0, WorkUnit.step(3, leaves: 1))
    _ = key.result(1, "a", isFinite: false)
    #expect(!key.result(1, "a", isFinite: false).contains("fail:"), "the same process")
    _ = key.at(2, .peerLost(peer: PeerID("a"), reason: "restarted"))
    _ = key.join(10, "b", key: "K")
    _ = key.at(10, .timer)
    #expect(key.result(11, "b", isFinite: false).contains("fail: not finite"))
  }

  /// Losses that are finite and cannot be: no sum of them is infinite.
  @Test func lossesThatCannotBe() {
    var scene = Scene()
    scene.begin()
    for peer in ["a", "b", "c"] { _ = scene.join(0, peer) }
    _ = scene.at(0, WorkUnit.step(3, leaves: 2, tiers: [0]))
    for peer in ["a", "b"] {
      #expect(scene.result(1, peer, loss: 1e308).contains("acknowledge \(peer)"), "\(peer)")
    }
    #expect(scene.core.status.shards.map(\.failures) == [1, 1])
    // The largest that 2 tokens can have is taken.
    #expect(scene.result(2, "c", loss: 4 * Double(Float.greatestFiniteMagnitude)).contains("keep"))
    #expect(
      scene.result(3, "a", loss: -4 * Double(Float.greatestFiniteMagnitude)).contains(
        "complete: step 3, loss 0.0"))
  }
}
