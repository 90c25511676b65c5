import Coordination
import Testing
import WireProtocol

/// Large results, which come one after the other in the order of their sums, told event by event. Eight shards have
/// three levels, so that five results are held at most (`CreditOrder`).
@Suite struct OfferTests {
  private static let peers = ["a", "b", "c", "d", "e", "f", "g", "h"]

  /// Eight workers, each with a micro-batch of its own.
  private static func scene(_ change: (inout OneRun.Settings) -> Void = { _ in }) -> Scene {
    var scene = Scene {
      $0.resultBytes = 0
      change(&$0)
    }
    scene.begin(peers)
    _ = scene.at(0, WorkUnit.step(1, leaves: 8))
    return scene
  }

  /// All but a have offered; four may come, as the first shard has to find room behind them; f, g and h wait.
  private static func sceneWithSomeWaiting(_ change: (inout OneRun.Settings) -> Void = { _ in }) -> Scene {
    var scene = scene(change)
    for peer in peers.dropFirst() { _ = scene.offer(1, peer) }
    return scene
  }

  @Test func fourMayCome() {
    var scene = Self.scene()
    for (number, peer) in Self.peers.enumerated().dropFirst().prefix(4) {
      #expect(scene.offer(1, peer).contains("credit \(peer): attempt \(number + 1)"))
    }
    for peer in ["h", "g", "f"] { #expect(!scene.offer(1, peer).contains("credit")) }
    #expect(scene.core.status.shards[5].state == .uploading)
    #expect(scene.core.status.shards[5].reason.contains("waits for its turn"))
    // e's result makes no room by itself, nor does c's; with d's its sibling it is one sum.
    #expect(!scene.result(2, "e").contains("credit"))
    #expect(!scene.result(2, "c").contains("credit"))
    let told = scene.result(3, "d")
    #expect(told.contains("credit f: attempt 6") && !told.contains("credit g"))
    #expect(scene.core.status.shards[5].reason.contains("is on its way"))
  }

  /// What lies in a sum leaves its room to others once the sum is made, however long that takes, and not before.
  @Test func roomIsThereOnceItIsAddedUp() {
    var scene = Self.sceneWithSomeWaiting()
    scene.core.addsAtOnce = false
    _ = scene.result(2, "e")
    _ = scene.result(2, "c")
    // One has room beside d's result and c's, which are to be one.
    #expect(scene.result(3, "d").contains("credit f: attempt 6"))
    #expect(!scene.result(4, "f").contains("credit"))
    // That is nothing a worker could help: its time does not count meanwhile.
    #expect(!scene.at(100, .timer).contains("attempt 7"))
    // e's result was none that completed a sum.
    #expect(!scene.at(100, .added(attempt: 5)).contains("credit"))
    #expect(scene.at(101, .added(attempt: 4)).contains("credit g: attempt 7"))
    #expect(!scene.at(102, .added(attempt: 4)).contains("credit"))
  }

  /// A worker whose offer waits has nothing else to do: it takes over what another has failed at.
  @Test func takesOtherWork() {
    var scene = Self.sceneWithSomeWaiting()
    // b to g could take it as well, being done; the first of them does.
    #expect(scene.fails(2, "a").contains("assign to b: attempt 9, micro-batch 0 of step 1"))
    #expect(scene.fails(3, "b").contains("assign to c: attempt 10, micro-batch 0 of step 1"))
    for (peer, attempt) in zip(["d", "e", "f", "g", "h"], 11...) {
      let before = attempt == 11 ? "c" : Self.peers[attempt - 9]
      #expect(scene.fails(4, before).contains("assign to \(peer): attempt \(attempt), micro-batch 0"))
    }
    // What it computes meanwhile may come before what waits.
    _ = scene.result(5, "h")
    #expect(scene.core.status.shards[0].state == .verified)
  }

  /// Waiting is nothing that a worker could help: its lease stands still, it is not late, and its time does not count.
  @Test func theLeaseStandsStill() {
    var scene = Self.sceneWithSomeWaiting { $0.initialLeaseSeconds = 5 }
    var told = ""
    for second in stride(from: 2.0, to: 20, by: 0.5) {
      for peer in Self.peers { told += scene.heard(second, peer) }
      told += scene.at(second, .timer)
    }
    #expect(told.contains("Worker 1 did not finish micro-batch 0 of step 1"))
    #expect(
      !told.contains("did not finish micro-batch 7")
        && !told.contains("micro-batch 7 of step 1, tiers [0, 1] failed"))
    let status = scene.core.status
    #expect(status.shards[7].failures == 0 && status.shards[7].state == .uploading)
  }

  /// A worker that may send its result, and does not, is heard all the while: its attempt is late, and then it is sent
  /// away, as one that hangs over its computation.
  @Test func mayComeAndDoesNot() {
    var scene = Self.sceneWithSomeWaiting { $0.initialLeaseSeconds = 5 }
    var told = ""
    for second in stride(from: 2.0, to: 120, by: 0.5) {
      for peer in Self.peers { told += scene.heard(second, peer) + "\n" }
      told += scene.at(second, .timer) + "\n"
    }
    #expect(told.contains("Worker 2 did not finish micro-batch 1 of step 1"))
    #expect(told.contains("it did not finish attempt 2 within"))
  }

  /// A worker that is lost while its offer waits or is on its way: its shard goes to another, and the place is free.
  @Test(arguments: ["b", "h"]) func lostWithAnOffer(peer: String) {
    var scene = Self.sceneWithSomeWaiting()
    let told = scene.at(2, .peerLost(peer: PeerID(peer), reason: "gone"))
    let number = (Self.peers.firstIndex(of: peer) ?? 0) + 1
    #expect(told.contains("record \(number): train 1, \(number - 1)–\(number - 1)"))
    #expect(told.contains("lost"))
    #expect(told.contains("micro-batch \(number - 1) of step 1, tiers [0, 1]"))
    // What was on its way has to come once more, so that nobody else may in its stead; whoever has it now may.
    #expect(!told.contains("credit"))
    let next = Self.peers.first { told.contains("assign to \($0): attempt 9") } ?? ""
    #expect(scene.offer(3, next).contains("credit \(next): attempt 9") == (peer == "b"))
  }

  /// Two workers have the same shard: the second's offer is refused once the first's bytes are here, and it counts as a
  /// word all the same.
  @Test func aRivalsOffer() {
    var scene = Self.scene { $0.initialLeaseSeconds = 5 }
    for peer in Self.peers.dropFirst() { _ = scene.result(1, peer) }
    _ = scene.at(2, .timer)
    // a is late, and b computes micro-batch 0 as well.
    #expect(scene.assignments["b"]?.attempt == 9)
    #expect(scene.offer(2.5, "a").contains("credit a: attempt 1"))
    let told = scene.offer(2.5, "b")
    #expect(!told.contains("credit") && !told.contains("refuse"))
    let end = scene.result(3, "a")
    #expect(end.contains("keep 1"))
    #expect(end.contains("refuse b: attempt 9 duplicate"))
    #expect(end.contains("complete: step 1"))
  }

  /// What is offered for a unit that is over is refused, and its worker is free.
  @Test func theUnitIsOver() {
    var scene = Self.sceneWithSomeWaiting()
    let told = scene.at(2, .abandon)
    for (number, peer) in Self.peers.enumerated().dropFirst() {
      #expect(told.contains("refuse \(peer): attempt \(number + 1) stale"))
    }
    #expect(told.contains("cancel a: attempt 1"))
    // An offer that comes late is one of a time that is over.
    #expect(scene.offer(3, "a").contains("refuse a: attempt 1 stale"))
  }

  /// Bytes that are not to be used take along those that they have been added to, which come once more.
  @Test func sumsWithABadPart() {
    var scene = Self.scene()
    for peer in ["a", "b", "c"] { _ = scene.result(1, peer) }
    let told = scene.at(2, .distrust(workerID: 1, identity: "h/1", reason: "x"))
    #expect(told.contains("discard 2\n") && told.contains("discard 1\n") && !told.contains("discard 3"))
    #expect(told.contains("micro-batch 0 of step 1") && told.contains("micro-batch 1 of step 1"))
    for peer in ["b", "c", "d", "e", "f", "g", "h"] { _ = scene.result(3, peer) }
    let waiting = scene.core.status.shards.filter { $0.state != .verified }.map(\.name)
    #expect(waiting.isEmpty, "\(waiting)")
  }
}

extension Scene {
  /// An offer of the right result of the last assignment of a peer.
  mutating func offer(_ seconds: Double, _ peer: String) -> String {
    at(
      seconds,
      .offered(peer: PeerID(peer), session: session(peer), term: 4, result(peer, hasBytes: false)))
  }
}
