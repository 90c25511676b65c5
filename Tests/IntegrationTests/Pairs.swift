import JSON

/// Options by pairs: rows of values, one of each factor, in which every two values that go together are together once.
struct Pairs: Sendable {
  struct Factor: Sendable {
    let name: String
    /// By name, the keys of a value.
    let values: [(name: String, keys: [String: JSONValue])]
  }

  struct Pair: Hashable, Comparable {
    let a, valueA, b, valueB: Int

    init(_ a: Int, _ valueA: Int, _ b: Int, _ valueB: Int) {
      (self.a, self.valueA, self.b, self.valueB) = a < b ? (a, valueA, b, valueB) : (b, valueB, a, valueA)
    }

    static func < (left: Pair, right: Pair) -> Bool {
      (left.a, left.b, left.valueA, left.valueB) < (right.a, right.b, right.valueA, right.valueB)
    }
  }

  let factors: [Factor]
  /// Whether the values of a row may be together; nil: not chosen yet.
  let goTogether: @Sendable ([Int?]) -> Bool

  /// Each row takes what adds most new pairs.
  var rows: [[Int]] {
    var missing = Set(all)
    var rows: [[Int]] = []
    while let first = missing.min() {
      let whole = row(from: first, missing: missing)
      rows.append(whole)
      missing.subtract(pairs(of: whole))
    }
    return rows
  }

  private func row(from first: Pair, missing: Set<Pair>) -> [Int] {
    var row = [Int?](repeating: nil, count: factors.count)
    (row[first.a], row[first.b]) = (first.valueA, first.valueB)
    for factor in factors.indices where row[factor] == nil {
      func gain(_ value: Int) -> Int {
        row.indices.count { other in
          row[other].map { missing.contains(Pair(factor, value, other, $0)) } ?? false
        }
      }
      let possible = factors[factor].values.indices.filter { value in
        var tried = row
        tried[factor] = value
        return goTogether(tried)
      }
      row[factor] = possible.max { (gain($0), -$0) < (gain($1), -$1) }
    }
    return row.map { $0 ?? 0 }
  }

  func pairs(of row: [Int]) -> [Pair] {
    row.indices.flatMap { a in row.indices.filter { $0 > a }.map { Pair(a, row[a], $0, row[$0]) } }
  }

  /// All that go together.
  var all: [Pair] {
    factors.indices.flatMap { a in
      factors.indices.filter { $0 > a }.flatMap { b in
        factors[a].values.indices.flatMap { valueA in
          factors[b].values.indices.map { Pair(a, valueA, b, $0) }
        }
      }
    }.filter { pair in
      var row = [Int?](repeating: nil, count: factors.count)
      (row[pair.a], row[pair.b]) = (pair.valueA, pair.valueB)
      return goTogether(row)
    }
  }

  func name(_ row: [Int]) -> String {
    zip(factors, row).map { "\($0.name) \($0.values[$1].name)" }.joined(separator: ", ")
  }

  /// The keys of a row's values.
  func keys(_ row: [Int]) -> [String: JSONValue] {
    zip(factors, row).reduce(into: [:]) { $0.merge($1.0.values[$1.1].keys) { $1 } }
  }
}
