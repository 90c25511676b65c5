import Coordination
import Testing
import WireProtocol

@testable import Training

/// Steps that are computed again after a crash, and come out otherwise than they were committed. The reference is
/// Sources/README.md: a replay is held to the record, and two workers say who was wrong.
@Suite struct CertainReplayTests {
  /// A replay that differs from the record is made again by two workers, cut as it was; whose shard of the record is not
  /// what they agree on is out, and what it did is undone.
  @Test func aReplayThatComesOutOtherwise() throws {
    var scene = try RunScene()
    _ = scene.restored(0, lastStep: 1)
    _ = scene.written(0)
    _ = try scene.computed(1) + scene.apply(1)
    let right = try #require(scene.counted)
    let id = try #require(scene.write?.id)
    let lines = scene.at(1, .writeFailed(id, .differs(step: 1, recorded: "abc")))
    #expect(lines.first?.contains("another digest than the ledger") == true)
    #expect(lines.last == "write: going back")
    #expect(scene.written(1, .rolledBack([], lastStep: 1)) == ["restore to be certain"])
    let halves = [0..<1, 1..<2].map {
      ComputedShard(leaves: $0, tiers: [0], digest: right.digest, identity: "h/\($0.lowerBound)")
    }
    _ = scene.restored(2, lastStep: 1, shards: [1: halves])
    #expect(scene.written(2).last == "open step 1, tiers [0], by two, 2 parts")
    let whole = ComputedShard(
      leaves: 0..<2, tiers: [0], digest: try #require(ShardDigest(bytes: Array(repeating: 7, count: 16))),
      identity: "liar")
    _ = scene.at(2, .writeFailed(-1, .mayPass(.disk, "not ours")))
    var again = try RunScene()
    _ = again.restored(0, lastStep: 1)
    _ = again.written(0)
    _ = try again.computed(1) + again.apply(1)
    _ = again.at(1, .writeFailed(try #require(again.write?.id), .differs(step: 1, recorded: "abc")))
    _ = again.written(1, .rolledBack([], lastStep: 1))
    _ = again.restored(2, lastStep: 1, shards: [1: [whole]])
    _ = again.written(2)
    #expect(again.computed(3) == ["distrust worker 0, liar", "write: going back"])
  }

  /// A shard of a replay that is not what the record has is found before anything is made of it, though parameters may come
  /// out the same: Adam's first step goes by signs. Then two workers say who was wrong; here it was the one that
  /// replayed.
  @Test func aShardOfAReplayThatIsAnother() throws {
    var scene = try RunScene()
    _ = scene.restored(0, lastStep: 1)
    _ = scene.written(0)
    _ = scene.computed(1)
    let right = try #require(scene.counted)
    let record = ComputedShard(leaves: 0..<2, tiers: [0], digest: right.digest, identity: "h/2")
    var lied = try RunScene()
    _ = lied.restored(0, lastStep: 1, shards: [1: [record]])
    _ = lied.written(0)
    let lines = lied.computed(1, loss: 9)
    #expect(lines.first?.contains("tiers 0 of step 1, computed again, is not what the ledger has") == true)
    #expect(lines.last == "write: going back")
    #expect(lied.written(1, .rolledBack([], lastStep: 1)) == ["restore to be certain"])
    _ = lied.restored(2, lastStep: 1, shards: [1: [record]])
    #expect(lied.written(2).last == "open step 1, tiers [0], by two, 1 parts")
    #expect(lied.computed(3) == ["distrust worker 0, h/1", "write: going back"])
  }
}
