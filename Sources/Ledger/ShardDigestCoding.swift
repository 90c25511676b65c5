import Foundation

/// The form of `shard_digests.digests`, which SCHEMA.md describes.
enum ShardDigestCoding {
  private static let version: UInt8 = 1

  /// Nil if a digest has another length, or a number is negative.
  static func encode(_ records: [ShardDigestRecord]) -> Data? {
    var bytes = [version]
    let sorted = records.sorted {
      ($0.firstMicroBatch, $0.lastMicroBatch, $0.tiers.first ?? 0)
        < ($1.firstMicroBatch, $1.lastMicroBatch, $1.tiers.first ?? 0)
    }
    for record in sorted {
      let count = record.lastMicroBatch - record.firstMicroBatch + 1
      let numbers = [record.worker, record.firstMicroBatch, count, record.tiers.count] + record.tiers
      guard record.digest.count == ShardDigestRecord.byteCount, count >= 1, numbers.allSatisfy({ $0 >= 0 })
      else { return nil }
      for number in numbers { LEB128.append(UInt64(number), to: &bytes) }
      bytes += record.digest
    }
    return Data(bytes)
  }

  /// Nil if these are not the bytes of such a list.
  static func decode(_ data: Data) -> [ShardDigestRecord]? {
    var rest = ArraySlice([UInt8](data))
    guard rest.popFirst() == version else { return nil }
    var records: [ShardDigestRecord] = []
    while !rest.isEmpty {
      guard let worker = LEB128.number(&rest), let first = LEB128.number(&rest),
        let count = LEB128.number(&rest), count >= 1,
        let last = sum(first, count - 1), let tierCount = LEB128.number(&rest), tierCount <= rest.count
      else { return nil }
      var tiers: [Int] = []
      for _ in 0..<tierCount {
        guard let tier = LEB128.number(&rest) else { return nil }
        tiers.append(tier)
      }
      guard rest.count >= ShardDigestRecord.byteCount else { return nil }
      records.append(
        ShardDigestRecord(
          firstMicroBatch: first, lastMicroBatch: last, tiers: tiers, worker: worker,
          digest: Array(rest.prefix(ShardDigestRecord.byteCount))))
      rest = rest.dropFirst(ShardDigestRecord.byteCount)
    }
    return records
  }

  private static func sum(_ a: Int, _ b: Int) -> Int? {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? nil : sum
  }
}
