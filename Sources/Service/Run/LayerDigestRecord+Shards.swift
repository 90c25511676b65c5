import Coordination
import Digests
import Ledger
import Training

extension LayerDigestRecord {
  /// What a counted result says, as the ledger keeps it for a while.
  init(_ counted: CountedResult, _ trace: ShardTraceRecord, leafCount: Int) {
    let leaves = counted.shard.node.leaves(count: leafCount)
    self.init(
      firstMicroBatch: leaves.lowerBound, lastMicroBatch: leaves.upperBound - 1, tiers: counted.shard.tiers)
    if let layers = trace.layers {
      (forward, backward) = (layers.forward, layers.backward)
      (gradients, sums) = (layers.gradients, layers.sums)
    }
    partialSums = trace.partialSums.map { key, sha256 in
      PartialSum(tier: key.tier, microBatch: key.microBatch, digest: Self.beginning(of: sha256))
    }
    windowSums = trace.windowSums.map { WindowSum(tier: $0.tier, digest: Self.beginning(of: $0.sha256)) }
  }

  /// The first 8 bytes of a SHA-256.
  static func beginning(of sha256: String) -> UInt64 { Hexadecimal.word(sha256.prefix(16)) ?? 0 }
}
