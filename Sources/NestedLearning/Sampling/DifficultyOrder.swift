/// The rows of a data set by their difficulty, the easiest first, of equals the one with the lower number.
public struct DifficultyOrder: Sendable {
  /// Numbers of rows.
  public let rows: [Int]
  /// That of each of these, ascending.
  public let difficulties: [Double]

  /// - Parameter difficulties: of each row
  public init(_ difficulties: [Double]) {
    rows = difficulties.indices.sorted {
      (difficulties[$0], $0) < (difficulties[$1], $1)
    }
    self.difficulties = rows.map { difficulties[$0] }
  }

  /// Places of the rows whose difficulty is in a range. Where there is none, the rows that are nearest above its beginning,
  /// or the hardest there are: a step always has something to take.
  public func places(in range: ClosedRange<Double>) -> Range<Int> {
    let first = firstPlace { $0 >= range.lowerBound }
    let end = firstPlace { $0 > range.upperBound }
    guard first >= end, let hardest = difficulties.indices.last else { return first..<end }
    let nearest = difficulties[min(first, hardest)]
    return firstPlace { $0 >= nearest }..<firstPlace { $0 > nearest }
  }

  /// The first place whose difficulty is so, where all after it are, too.
  private func firstPlace(where isSo: (Double) -> Bool) -> Int {
    var (low, high) = (0, difficulties.count)
    while low < high {
      let middle = (low + high) / 2
      if isSo(difficulties[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
