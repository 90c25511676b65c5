import Randomness

/// Which row a draw takes. Draws are numbered from 0 over the whole run, and a draw is a function of its number, the range
/// of difficulties and the sampler's own seed: a run that is resumed, or whose work others do, draws the same rows.
public protocol RowSampler: Sendable {
  /// Draws that make up a pass over the data.
  var count: Int { get }
  /// The number of the row that a draw takes.
  ///
  /// - Parameter range: difficulties that may be taken; nil: all.
  func row(at draw: Int, in range: ClosedRange<Double>?) -> Int
}

extension RowSampler {
  /// The rows of a batch of a step (1-based).
  public func batch(at step: Int, size: Int, in range: ClosedRange<Double>? = nil) -> [Int] {
    ((step - 1) * size..<step * size).map { row(at: $0, in: range) }
  }
}

/// Each row once in a pass, in a new random order each time, or always in the given one.
///
/// Without a sampler's help a range of difficulties is not kept to: give it the rows of that range.
public struct ShuffleSampler: RowSampler {
  private let rows: [Int]
  private let decks: RowDecks
  private let shuffle: Bool

  /// - Parameters:
  ///   - rows: numbers of rows, at least one
  ///   - deck: tells apart what is shuffled under one seed
  public init(rows: [Int], shuffle: Bool = true, seed: UInt64, deck: Int = 0) {
    self.rows = rows
    self.shuffle = shuffle
    decks = RowDecks(seed: seed, deck: deck)
  }

  public var count: Int { rows.count }

  public func row(at draw: Int, in range: ClosedRange<Double>? = nil) -> Int {
    let (pass, turn) = draw.quotientAndRemainder(dividingBy: rows.count)
    return rows[shuffle ? Int(decks.order(count: rows.count, pass: pass)[turn]) : turn]
  }
}

/// Each row of a range of difficulties as likely as the others, at every draw anew.
public struct UniformSampler: RowSampler {
  private let order: DifficultyOrder
  private let seed: UInt64

  /// - Parameter difficulties: of each row, at least one
  public init(difficulties: [Double], seed: UInt64) {
    order = DifficultyOrder(difficulties)
    self.seed = seed
  }

  public var count: Int { order.rows.count }

  public func row(at draw: Int, in range: ClosedRange<Double>?) -> Int {
    let places = range.map(order.places) ?? order.rows.indices
    var random = CounterRandom(seed: seed, purpose: .rowDraw, UInt64(draw))
    return order.rows[places.lowerBound + random.integer(below: places.count)]
  }
}
