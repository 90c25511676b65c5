import NestedLearning

/// Rows in the order in which they are taken, one by one or in packs.
struct RowTurns: Sendable {
  let rows: RowSet
  private let sampler: any RowSampler
  /// nil: one row by itself.
  private let packs: PackIndex?
  /// The rows that the order is of, by their numbers; nil: all.
  private let subset: [UInt32]?

  /// Some of the rows, none in packs.
  init(_ rows: RowSet, of numbers: [UInt32], _ config: NestedLearningConfig, seed: UInt64) {
    self.rows = rows
    sampler = RowOrder(count: numbers.count, shuffle: config.shuffle, seed: seed)
    (packs, subset) = (nil, numbers)
  }

  init(_ rows: RowSet, _ sampler: any RowSampler, _ config: NestedLearningConfig) {
    self.rows = rows
    subset = nil
    self.sampler = sampler
    packs =
      config.packing
      ? PackIndex(maxLength: config.maxSeqLength) { rows.length(of: sampler.row(at: $0, in: nil)) } : nil
  }

  /// Numbers of the rows that are at some places of the order, or in the packs with these numbers.
  func numbers(_ places: Range<Int>, in range: ClosedRange<Double>? = nil) -> [Int] {
    let numbers = (packs.map { $0.places(ofPacks: places) } ?? places).map { sampler.row(at: $0, in: range) }
    return subset.map { subset in numbers.map { Int(subset[$0]) } } ?? numbers
  }

  func epoch(after taken: Int) -> Int {
    (packs?.places(ofPacks: taken..<taken).lowerBound ?? taken) / sampler.count
  }
}
