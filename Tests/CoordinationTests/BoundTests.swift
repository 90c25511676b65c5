import NestedLearning
import Testing
import WireProtocol

@testable import Coordination

/// What peers can make grow, and how far.
@Suite struct BoundTests {
  /// One key has a share of the places; who is turned away is told why, and others still find room.
  @Test func sessionsOfOneKey() {
    var scene = Scene()
    scene.begin()
    for number in 0..<64 {
      #expect(
        scene.at(0, .hello(peer: PeerID("k\(number)"), Scene.hello(process: number), key: "K")).contains(
          "welcome"))
    }
    #expect(
      scene.at(0, .hello(peer: PeerID("k64"), Scene.hello(process: 64), key: "K")).contains(
        "reject k64, full: the run already has 64 workers of the key K"))
    #expect(scene.at(0, .hello(peer: PeerID("l"), Scene.hello(), key: "L")).contains("welcome"))
    _ = scene.at(1, .peerLost(peer: PeerID("k3"), reason: "x"))
    #expect(scene.at(1, .hello(peer: PeerID("k65"), Scene.hello(process: 65), key: "K")).contains("welcome"))
    // Without keys only the whole is limited.
    for number in 65..<1024 {
      #expect(
        scene.at(1, .hello(peer: PeerID("h\(number)"), Scene.hello(process: number))).contains("welcome"))
    }
    #expect(
      scene.at(1, .hello(peer: PeerID("m"), Scene.hello())).contains(
        "reject m, full: the run already has 1024"))
  }

  private func size(_ run: OneRun) -> Int {
    let (fleet, core) = (run.fleet, run.scheduler)
    return fleet.members.count + fleet.memberOfPeer.count + fleet.trust.backoffs.count
      + fleet.trust.quarantined.count + fleet.trust.provenHosts.count + core.workers.count
      + core.lastWorker.count + core.voided.count + core.attempts.count + core.holders.count
      + core.ignoredResults.count
      + (core.open?.shards.reduce(0) { $0 + $1.running.count } ?? 0)
  }

  /// Where each shard was computed is forgotten once units have been cut in very many ways.
  @Test func holdersOfUnitsLongGone() {
    var scene = Scene()
    scene.begin()
    _ = scene.join(0, "good")
    var largest = 0
    for number in 1...3000 {
      let part = UnitPart(shard: Shard(node: TreeNode(level: 0, index: number), tiers: [0]))
      let unit = WorkUnit(
        purpose: .recompute, step: number, leafCount: 4000, dueTiers: [0], window: true, parts: [part])
      _ = scene.at(Double(number), .heard(peer: PeerID("good"), session: scene.session("good")))
      _ = scene.at(Double(number), .open(unit))
      #expect(scene.result(Double(number), "good").contains("complete: step \(number), computed again"))
      largest = max(largest, scene.core.holders.count)
    }
    #expect((1024...1030).contains(largest))
  }

  /// A million workers that join under ever new names, take a shard and are lost, do not make the coordinator grow.
  @Test func millionsOfJoins() {
    var scene = Scene { $0.fleet.maximumWorkers = 64 }
    scene.begin()
    _ = scene.join(0, "good")
    var (largest, sizes) = (0, [Int]())
    for number in 0..<1_000_000 {
      let second = Double(number) * 0.01
      if number % 100 == 0 {
        // The unit before is done by the one that stays.
        while scene.core.status.unit != nil { _ = scene.result(second, "good") }
        _ = scene.at(second, WorkUnit.step(number / 100 + 1, leaves: 2, tiers: [0]))
      }
      let peer = PeerID("p\(number)")
      let effects = scene.core.step(
        .hello(peer: peer, Scene.hello(process: number % 100_000, host: "h\(number)")), now: .zero + second)
      for case .welcome(_, let session, _, _) in effects {
        _ = scene.core.step(
          .ready(peer: peer, session: session, Ready(modelSHA256: Scene.model)), now: .zero + second)
        _ = scene.core.step(.heard(peer: PeerID("good"), session: scene.session("good")), now: .zero + second)
      }
      if number % 2 == 0 {
        _ = scene.core.step(.peerLost(peer: peer, reason: "gone"), now: .zero + second)
      } else {
        _ = scene.core.step(
          .workerError(peer: peer, session: scene.core.session(of: peer) ?? .none, attempt: nil, reason: "x"),
          now: .zero + second)
      }
      if number % 10_000 == 9_999 { sizes.append(size(scene.core)) }
      largest = max(largest, number % 100 == 0 ? size(scene.core) : 0)
    }
    #expect(scene.core.failure == nil)
    #expect(largest < 1000, "\(sizes)")
    #expect((sizes.suffix(50).max() ?? 0) <= (sizes.prefix(50).max() ?? 0) + 16, "\(sizes)")
  }
}
