import Coordination
import Ledger
import NestedLearning

extension ShardDigestRecord {
  /// A counted result as the ledger keeps it for ever.
  init(_ counted: CountedResult, leafCount: Int) {
    let leaves = counted.shard.node.leaves(count: leafCount)
    self.init(
      firstMicroBatch: leaves.lowerBound, lastMicroBatch: leaves.upperBound - 1, tiers: counted.shard.tiers,
      worker: counted.workerID, digest: counted.digest.bytes)
  }
}

extension ComputedShard {
  /// A shard as the ledger has it; nil if its digest is not one.
  init?(_ recorded: RecordedShard) {
    let record = recorded.record
    guard record.firstMicroBatch <= record.lastMicroBatch, let digest = ShardDigest(bytes: record.digest)
    else {
      return nil
    }
    self.init(
      leaves: record.firstMicroBatch..<(record.lastMicroBatch + 1), tiers: record.tiers, digest: digest,
      identity: recorded.identity)
  }
}
