import Foundation
import GRDB
import Testing

@testable import Ledger

/// Digests of layers: kept with their step and given back, the newest alone once they are many.
@Suite struct LayerDigestTests {
  private func record(_ first: Int, _ last: Int, tiers: [Int] = [0, 2], seed: UInt64 = 1) -> LayerDigestRecord
  {
    var record = LayerDigestRecord(firstMicroBatch: first, lastMicroBatch: last, tiers: tiers)
    record.forward = [seed, .max, 0]
    record.backward = [seed &* 3]
    record.gradients = [4, 5, 6, 7]
    record.partialSums = [.init(tier: 2, microBatch: 300, digest: 0x0102_0304_0506_0708)]
    record.windowSums = [.init(tier: 0, digest: seed)]
    return record
  }

  /// SCHEMA.md's example, byte by byte.
  @Test func formIsAsDocumented() {
    var record = LayerDigestRecord(firstMicroBatch: 200, lastMicroBatch: 203, tiers: [0, 2])
    record.forward = [0x0102_0304_0506_0708]
    record.partialSums = [.init(tier: 2, microBatch: 200, digest: 9)]
    #expect(
      LayerDigestCoding.encode([record])
        == Data(
          [1, 0xC8, 0x01, 4, 2, 0, 2, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0]
            + [1, 2, 0xC8, 0x01, 0, 0, 0, 0, 0, 0, 0, 9, 0]))
  }

  @Test func comeBackWithTheirStep() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    let records = [record(0, 1), record(2, 2, seed: 9)]
    let empty = LayerDigestRecord(firstMicroBatch: 3, lastMicroBatch: 3, tiers: [0])
    try ledger.commit(step(1), tiers: [], assignments: [], layerDigests: records + [empty])
    try ledger.commit(step(2), tiers: [], assignments: [], layerDigests: [empty])
    #expect(try Ledger.open(at: ledger.path, access: .readOnly).layerDigests(step: 1) == records)
    #expect(try ledger.layerDigests(step: 2).isEmpty && ledger.layerDigests(step: 3).isEmpty)
    _ = try ledger.rollBack(byHandTo: 0)
    #expect(try ledger.layerDigests(step: 1).isEmpty)
    try ledger.commit(step(1), tiers: [], assignments: [], layerDigests: [records[1]])
    #expect(try ledger.layerDigests(step: 1) == [records[1]])
  }

  /// As much as the limit holds stays, in a run that goes back now and then as well; a step's own always does.
  @Test func theNewestStay() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    let size = try #require(LayerDigestCoding.encode([record(0, 1)])).count
    func add(_ steps: ClosedRange<Int>, limit: Int) throws {
      for step in steps {
        try ledger.write("") { db in try Ledger.insert([record(0, 1)], step: step, limit: limit, db) }
      }
    }
    func steps() throws -> [Int] {
      try ledger.read("") { db in try Int.fetchAll(db, sql: "SELECT step FROM layer_digests ORDER BY step") }
    }
    try add(1...20, limit: 5 * size)
    #expect(try steps() == Array(16...20))
    try ledger.write("") { try $0.execute(sql: "DELETE FROM layer_digests WHERE step > 17") }
    try add(18...19, limit: 5 * size)
    #expect(try steps() == Array(16...19))
    // A lower limit is reached step by step, two old ones for one that comes.
    try add(20...21, limit: 2 * size)
    #expect(try steps() == [20, 21])
    try add(22...22, limit: 1)
    #expect(try steps() == [22])
  }

  /// Whatever bytes there are: a list that encodes to them again, or nothing. Never a trap.
  @Test func damagedBytes() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var state = seed
    func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    let good = try #require(LayerDigestCoding.encode([record(0, 1), record(300, 301)]))
    var refused = 0
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0...next() % 3 { bytes[Int(next()) % bytes.count] = UInt8(truncatingIfNeeded: next()) }
      if next() % 2 == 0 { bytes = bytes.prefix(Int(next()) % (bytes.count + 1)) }
      if let records = LayerDigestCoding.decode(bytes) {
        #expect(records.allSatisfy { $0.firstMicroBatch <= $0.lastMicroBatch }, "seed \(seed)")
        #expect(LayerDigestCoding.encode(records) != nil, "seed \(seed)")
      } else {
        refused += 1
      }
    }
    #expect(refused > 1000, "seed \(seed)")
    #expect(LayerDigestCoding.decode(Data()) == nil && LayerDigestCoding.decode(Data([1])) == [])
    #expect(LayerDigestCoding.encode([record(0, -1)]) == nil)
  }
}
