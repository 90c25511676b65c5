import Randomness

/// Every label, or domain, as often as the others: draw n takes the next row of group n mod G, in the order of the groups'
/// names. A group gives each of its rows once before any comes again, in a random order; within a range of difficulties it
/// gives any of those that are in it, as likely as the others.
public struct BalancedSampler: RowSampler {
  private let groups: [(rows: [Int], whole: ShuffleSampler, restricted: DifficultyOrder)]
  private let seed: UInt64
  public let count: Int

  /// - Parameters:
  ///   - labels: [rows], at least one
  ///   - difficulties: [rows]; nil: none of them is left out by a range
  public init(labels: [String], difficulties: [Double]? = nil, shuffle: Bool = true, seed: UInt64) {
    var rows: [String: [Int]] = [:]
    for (row, label) in labels.enumerated() { rows[label, default: []].append(row) }
    let names = rows.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    groups = names.enumerated().map { number, name in
      let members = rows[name] ?? []
      return (
        members, ShuffleSampler(rows: members, shuffle: shuffle, seed: seed, deck: number),
        DifficultyOrder(members.map { difficulties?[$0] ?? 0 })
      )
    }
    self.seed = seed
    count = labels.count
  }

  public func row(at draw: Int, in range: ClosedRange<Double>?) -> Int {
    let (turn, number) = draw.quotientAndRemainder(dividingBy: groups.count)
    let group = groups[number]
    guard let range else { return group.whole.row(at: turn) }
    let places = group.restricted.places(in: range)
    var random = CounterRandom(seed: seed, purpose: .rowDraw, UInt64(draw))
    return group.rows[group.restricted.rows[places.lowerBound + random.integer(below: places.count)]]
  }
}
