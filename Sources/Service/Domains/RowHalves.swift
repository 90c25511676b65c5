import Digests

/// Rows in two halves, each with as many of every name as the other, or one less.
///
/// Of the rows of a name every other one goes to the first half, in the order of the digests of their tokens and not of the
/// file: what comes and goes in a file with the number of the line, as labels that alternate, goes through both halves alike.
struct RowHalves {
  /// Numbers of rows, ascending.
  let first: [Int]
  let second: [Int]

  /// - Parameters:
  ///   - tokens: [rows][tokens]; rows of the same tokens lie in the order of the file.
  ///   - names: [rows].
  init(tokens: [[Int32]], names: [Int]) {
    let digests = tokens.map { ids in
      ids.withUnsafeBytes { Digest.sha256($0) }
    }
    let order = tokens.indices.sorted { (digests[$0], $0) < (digests[$1], $1) }
    var seen: [Int: Int] = [:]
    var halves = ([Int](), [Int]())
    for row in order {
      if seen[names[row], default: 0].isMultiple(of: 2) { halves.0.append(row) } else { halves.1.append(row) }
      seen[names[row], default: 0] += 1
    }
    (first, second) = (halves.0.sorted(), halves.1.sorted())
  }
}
