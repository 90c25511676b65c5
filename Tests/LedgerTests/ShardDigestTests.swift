import Foundation
import GRDB
import Testing

@testable import Ledger

/// The digests of counted shards: kept with their step, and given back with whose they are.
@Suite struct ShardDigestTests {
  private func record(_ first: Int, _ last: Int, tiers: [Int], worker: Int = 1, byte: UInt8 = 7)
    -> ShardDigestRecord
  {
    ShardDigestRecord(
      firstMicroBatch: first, lastMicroBatch: last, tiers: tiers, worker: worker,
      digest: (0..<16).map { byte &+ $0 })
  }

  /// SCHEMA.md's example, byte by byte.
  @Test func formIsAsDocumented() {
    let bytes = ShardDigestCoding.encode([record(200, 203, tiers: [0, 2], worker: 5)])
    #expect(bytes == Data([1, 5, 0xC8, 0x01, 4, 2, 0, 2] + (7..<23).map { UInt8($0) }))
  }

  @Test func comeBackWithTheirStep() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    var other = worker(2, term: 1)
    other.identity = "key 2"
    try ledger.record(worker: other)
    let records = [record(0, 1, tiers: [0, 1]), record(2, 2, tiers: [0, 1], worker: 2, byte: 99)]
    try ledger.commit(step(1), tiers: [], assignments: [], shardDigests: records.reversed())
    try ledger.commit(step(2), tiers: [], assignments: [])
    let read = try Ledger.open(at: ledger.path, access: .readOnly).shardDigests(step: 1)
    #expect(read.map(\.record) == records)
    #expect(read.map(\.identity) == ["alpha/4711", "key 2"])
    #expect(read.allSatisfy { $0.term == 1 })
    #expect(try ledger.shardDigests(step: 2).isEmpty && ledger.shardDigests(step: 3).isEmpty)
    // The same step is committed again after a return.
    _ = try ledger.rollBack(byHandTo: 0)
    #expect(try ledger.shardDigests(step: 1).isEmpty)
    try ledger.commit(step(1), tiers: [], assignments: [], shardDigests: [records[1]])
    #expect(try ledger.shardDigests(step: 1).map(\.record) == [records[1]])
  }

  @Test func aCommitWithADigestOfAnotherLengthLeavesNothing() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    var short = record(0, 0, tiers: [0])
    short.digest.removeLast()
    for bad in [short, record(2, 1, tiers: [0]), record(0, 0, tiers: [-1])] {
      #expect(throws: LedgerError.self) {
        try ledger.commit(step(1), tiers: [], assignments: [], shardDigests: [bad])
      }
    }
    #expect(try ledger.lastStep() == 0)
  }

  /// Whatever bytes there are: a list that encodes to them again in some order, or nothing. Never a trap.
  @Test func damagedBytes() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var state = seed
    func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    let good = try #require(
      ShardDigestCoding.encode([record(0, 1, tiers: [0]), record(300, 301, tiers: [1, 2])]))
    var refused = 0
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0...next() % 3 { bytes[Int(next()) % bytes.count] = UInt8(truncatingIfNeeded: next()) }
      if next() % 2 == 0 { bytes = bytes.prefix(Int(next()) % (bytes.count + 1)) }
      if let records = ShardDigestCoding.decode(bytes) {
        #expect(records.allSatisfy { $0.firstMicroBatch <= $0.lastMicroBatch }, "seed \(seed)")
        #expect(ShardDigestCoding.encode(records) != nil, "seed \(seed)")
      } else {
        refused += 1
      }
    }
    #expect(refused > 1000, "seed \(seed)")
    #expect(ShardDigestCoding.decode(Data()) == nil && ShardDigestCoding.decode(Data([1])) == [])
  }
}
