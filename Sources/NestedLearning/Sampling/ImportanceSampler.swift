import Randomness

/// Each row as likely as its weight says, with replacement: a draw is a whole number below the sum of all weights, without
/// bias (numbers that would favour some rows are drawn again), and the row is that in whose share it falls. Losses are not
/// weighted in return.
public struct ImportanceSampler: RowSampler {
  private let order: DifficultyOrder
  private let seed: UInt64
  /// [rows + 1]: of the rows before each place of the order, together.
  private var sums: [Int] = []

  /// - Parameters:
  ///   - weights: [rows], whole numbers of at least 0, not all of them 0
  ///   - difficulties: [rows]; nil: none of them is left out by a range
  /// - Throws: `SamplingError` for weights that cannot be drawn by
  public init(weights: [Int], difficulties: [Double]? = nil, seed: UInt64) throws(SamplingError) {
    order = DifficultyOrder(difficulties ?? [Double](repeating: 0, count: weights.count))
    self.seed = seed
    try updateWeights(weights)
  }

  /// From now on these weights count; draws go on with their numbers.
  ///
  /// - Throws: `SamplingError` for weights that cannot be drawn by; the old ones count then.
  public mutating func updateWeights(_ weights: [Int]) throws(SamplingError) {
    guard weights.count == order.rows.count else {
      throw SamplingError("there are \(weights.count) weights for \(order.rows.count) rows")
    }
    var sums = [0]
    sums.reserveCapacity(weights.count + 1)
    for row in order.rows {
      guard weights[row] >= 0 else { throw SamplingError("the weight of row \(row) is below 0") }
      let (sum, overflow) = (sums.last ?? 0).addingReportingOverflow(weights[row])
      guard !overflow else { throw SamplingError("the sum of all weights is more than \(Int.max)") }
      sums.append(sum)
    }
    guard let total = sums.last, total > 0 else { throw SamplingError("no row has a weight above 0") }
    self.sums = sums
  }

  public var count: Int { order.rows.count }

  public func row(at draw: Int, in range: ClosedRange<Double>?) -> Int {
    var places = range.map(order.places) ?? order.rows.indices
    // Rows of weight 0 alone: then all count, since a step has to take something.
    if sums[places.upperBound] == sums[places.lowerBound] { places = order.rows.indices }
    var random = CounterRandom(seed: seed, purpose: .rowDraw, UInt64(draw))
    let start = sums[places.lowerBound]
    let number = start + random.integer(below: sums[places.upperBound] - start)
    // The last place whose sum before it is at most the number.
    var (low, high) = (places.lowerBound, places.upperBound)
    while high - low > 1 {
      let middle = (low + high) / 2
      if sums[middle] <= number { low = middle } else { high = middle }
    }
    return order.rows[low]
  }
}

/// Why rows cannot be drawn as wanted.
public struct SamplingError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}
