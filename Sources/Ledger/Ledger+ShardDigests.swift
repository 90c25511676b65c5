import GRDB

/// What the counted result of a shard was, and whose: kept as long as its step.
public struct ShardDigestRecord: Sendable, Hashable {
  /// The number of bytes of a digest.
  public static let byteCount = 16

  public var firstMicroBatch: Int
  /// Inclusive.
  public var lastMicroBatch: Int
  /// Ascending.
  public var tiers: [Int]
  /// Of the step's term.
  public var worker: Int
  /// 16 bytes: see `ShardDigest` in Coordination.
  public var digest: [UInt8]

  public init(firstMicroBatch: Int, lastMicroBatch: Int, tiers: [Int], worker: Int, digest: [UInt8]) {
    self.firstMicroBatch = firstMicroBatch
    self.lastMicroBatch = lastMicroBatch
    self.tiers = tiers
    self.worker = worker
    self.digest = digest
  }
}

/// A recorded digest with whose it is beyond the term.
public struct RecordedShard: Sendable, Hashable {
  public var record: ShardDigestRecord
  /// The term in which the step was committed.
  public var term: UInt64
  /// See `WorkerRecord.identity`; empty if the worker is not in the record.
  public var identity: String
}

extension Ledger {
  /// The digests of a step's counted shards, in the order of their micro-batches; none if the step is not there, or was
  /// committed by a program that kept none.
  public func shardDigests(step: Int) throws(LedgerError) -> [RecordedShard] {
    try read("reading the shards of step \(step)") { db in
      guard
        let row = try Row.fetchOne(
          db,
          sql: "SELECT s.term, d.digests FROM shard_digests AS d JOIN steps AS s USING (step) WHERE step = ?",
          arguments: [step])
      else { return [] }
      let term: Int64 = row["term"]
      guard let records = ShardDigestCoding.decode(row["digests"]) else {
        throw LedgerError.damaged(
          path: self.path, reason: "the digests of the shards of step \(step) cannot be read")
      }
      let identities = try Row.fetchAll(
        db,
        sql:
          "SELECT worker, identity FROM workers WHERE term = ? AND worker IN (SELECT value FROM json_each(?))",
        arguments: [term, Self.list(records.map(\.worker))]
      ).reduce(into: [Int: String]()) { $0[$1["worker"]] = $1["identity"] }
      return records.map {
        RecordedShard(record: $0, term: UInt64(clamping: term), identity: identities[$0.worker] ?? "")
      }
    }
  }

  static func insert(_ digests: [ShardDigestRecord], step: Int, _ db: Database) throws {
    guard !digests.isEmpty else { return }
    guard let bytes = ShardDigestCoding.encode(digests) else {
      throw LedgerError.invalid(
        "step \(step) has a shard whose digest is not of 16 bytes, or whose place is negative")
    }
    try db.execute(
      sql: "INSERT INTO shard_digests (step, digests) VALUES (?, ?)", arguments: [step, bytes])
  }
}
