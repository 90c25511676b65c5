import Coordination
import Ledger
import NestedLearning

/// A committed step as the ledger has it.
struct RecordedStep {
  let record: StepRecord
  let shards: [RecordedShard]
  private let traces: [LayerDigestRecord]

  /// - Throws: `ServiceError` if the ledger does not have it.
  init(_ step: Int, ledger: Ledger) throws {
    guard let record = try ledger.step(step) else {
      throw ServiceError("the ledger \(ledger.path) has no step \(step)")
    }
    self.record = record
    shards = try ledger.shardDigests(step: step)
    traces = try ledger.layerDigests(step: step)
  }

  /// What was said of a shard's layers.
  func trace(of shard: ShardDigestRecord) -> LayerDigestRecord? {
    traces.first {
      $0.firstMicroBatch == shard.firstMicroBatch && $0.lastMicroBatch == shard.lastMicroBatch
        && $0.tiers == shard.tiers
    }
  }

  /// The shards that it was made from, as the record cuts it; nil if they do not make up the step. Where none are
  /// recorded, all of it in one.
  func cut(leafCount: Int, tiers: [Int]) -> [(shard: Shard, recorded: RecordedShard?)]? {
    guard !shards.isEmpty else {
      return [(Shard(node: .root(count: leafCount), tiers: tiers), nil)]
    }
    var parts: [(shard: Shard, recorded: RecordedShard?)] = []
    for recorded in shards {
      let record = recorded.record
      guard record.firstMicroBatch <= record.lastMicroBatch, record.lastMicroBatch < leafCount,
        let node = TreeNode(
          covering: record.firstMicroBatch..<record.lastMicroBatch + 1, count: leafCount)
      else { return nil }
      parts.append((Shard(node: node, tiers: record.tiers), recorded))
    }
    return covers(parts.map(\.shard), leafCount: leafCount, tiers: tiers) ? parts : nil
  }

  /// Whether every tier, or without one the loss, has every micro-batch once.
  private func covers(_ shards: [Shard], leafCount: Int, tiers: [Int]) -> Bool {
    func isWhole(_ shards: [Shard]) -> Bool {
      shards.flatMap { Array($0.node.leaves(count: leafCount)) }.sorted() == Array(0..<leafCount)
    }
    guard Set(shards.flatMap(\.tiers)) == Set(tiers) else { return false }
    guard !tiers.isEmpty else { return isWhole(shards) }
    return tiers.allSatisfy { tier in isWhole(shards.filter { $0.tiers.contains(tier) }) }
  }
}

extension RecordedShard {
  /// Whose it is, for people.
  var worker: String {
    "worker \(record.worker)" + (identity.isEmpty ? "" : " (\(identity))") + " in term \(term)"
  }

  /// Its micro-batches and tiers, for people.
  var place: String { ComputedShard(self)?.place ?? "" }
}
