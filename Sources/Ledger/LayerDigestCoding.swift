import Foundation

/// The form of `layer_digests.digests`, which SCHEMA.md describes.
enum LayerDigestCoding {
  private static let version: UInt8 = 1

  /// Nil if a number is negative.
  static func encode(_ records: [LayerDigestRecord]) -> Data? {
    var bytes = [version]
    for record in records {
      let count = record.lastMicroBatch - record.firstMicroBatch + 1
      let places = record.partialSums.flatMap { [$0.tier, $0.microBatch] } + record.windowSums.map(\.tier)
      guard count >= 1, record.firstMicroBatch >= 0, (record.tiers + places).allSatisfy({ $0 >= 0 }) else {
        return nil
      }
      for number in [record.firstMicroBatch, count, record.tiers.count] + record.tiers {
        LEB128.append(UInt64(number), to: &bytes)
      }
      for list in [record.forward, record.backward, record.gradients, record.sums] {
        LEB128.append(UInt64(list.count), to: &bytes)
        for digest in list { append(digest, to: &bytes) }
      }
      LEB128.append(UInt64(record.partialSums.count), to: &bytes)
      for sum in record.partialSums {
        LEB128.append(UInt64(sum.tier), to: &bytes)
        LEB128.append(UInt64(sum.microBatch), to: &bytes)
        append(sum.digest, to: &bytes)
      }
      LEB128.append(UInt64(record.windowSums.count), to: &bytes)
      for sum in record.windowSums {
        LEB128.append(UInt64(sum.tier), to: &bytes)
        append(sum.digest, to: &bytes)
      }
    }
    return Data(bytes)
  }

  /// Nil if these are not the bytes of such a list.
  static func decode(_ data: Data) -> [LayerDigestRecord]? {
    var rest = ArraySlice([UInt8](data))
    guard rest.popFirst() == version else { return nil }
    var records: [LayerDigestRecord] = []
    while !rest.isEmpty {
      guard let record = record(&rest) else { return nil }
      records.append(record)
    }
    return records
  }

  private static func record(_ rest: inout ArraySlice<UInt8>) -> LayerDigestRecord? {
    guard let first = LEB128.number(&rest), let count = LEB128.number(&rest), count >= 1,
      first <= Int.max - count, let tiers = list(&rest, LEB128.number), let forward = list(&rest, digest),
      let backward = list(&rest, digest), let gradients = list(&rest, digest), let sums = list(&rest, digest),
      let partialSums = list(&rest, partialSum), let windowSums = list(&rest, windowSum)
    else { return nil }
    var record = LayerDigestRecord(firstMicroBatch: first, lastMicroBatch: first + count - 1, tiers: tiers)
    (record.forward, record.backward, record.gradients, record.sums) = (forward, backward, gradients, sums)
    (record.partialSums, record.windowSums) = (partialSums, windowSums)
    return record
  }

  /// A count, and so many elements. Each has a byte at least, so that nothing is made room for that cannot come.
  private static func list<Element>(
    _ rest: inout ArraySlice<UInt8>, _ element: (inout ArraySlice<UInt8>) -> Element?
  ) -> [Element]? {
    guard let count = LEB128.number(&rest), count <= rest.count else { return nil }
    var elements: [Element] = []
    for _ in 0..<count {
      guard let element = element(&rest) else { return nil }
      elements.append(element)
    }
    return elements
  }

  private static func partialSum(_ rest: inout ArraySlice<UInt8>) -> LayerDigestRecord.PartialSum? {
    guard let tier = LEB128.number(&rest), let microBatch = LEB128.number(&rest), let digest = digest(&rest)
    else { return nil }
    return LayerDigestRecord.PartialSum(tier: tier, microBatch: microBatch, digest: digest)
  }

  private static func windowSum(_ rest: inout ArraySlice<UInt8>) -> LayerDigestRecord.WindowSum? {
    guard let tier = LEB128.number(&rest), let digest = digest(&rest) else { return nil }
    return LayerDigestRecord.WindowSum(tier: tier, digest: digest)
  }

  /// Eight bytes, the highest first.
  private static func append(_ digest: UInt64, to bytes: inout [UInt8]) {
    for place in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: digest >> UInt64(56 - 8 * place))) }
  }

  private static func digest(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
    guard rest.count >= 8 else { return nil }
    defer { rest = rest.dropFirst(8) }
    return rest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}
