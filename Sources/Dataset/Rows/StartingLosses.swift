import Kernels

/// What rows of a task count for, by the cross entropy that their tokens had when training began.
public struct StartingLosses: Sendable {
  private let rows: RowSet
  /// In nats, of the trained tokens of all rows, in their order.
  private let losses: [Float]

  /// - Returns: nil unless there is one for each trained token.
  public init?(of rows: RowSet, losses: [Float]) {
    guard rows.indices.reduce(0, { $0 + rows.trainedCount(of: $1) }) == losses.count else { return nil }
    self.rows = rows
    self.losses = losses
  }

  /// FLOW: c = e^(−ℓ̄/τ) ÷ its mean over the rows, ℓ̄ the row's mean, and τ the lower median of these. Added up in Double.
  public var rowWeights: [Float] {
    let means = meansOfRows
    let tau = means.sorted()[(means.count - 1) / 2]
    guard tau > 0 else { return means.map { _ in 1 } }
    let weights = means.map { nl_exp(-$0 / tau) }
    let mean = weights.reduce(0, +) / Double(weights.count)
    return weights.map { Float($0 / mean) }
  }

  /// The mean probability that the model gave the trained tokens of each row, e^(−loss). Added up in Double.
  public var confidences: [Double] { meansOfRows { nl_exp(-Double($0)) } }

  private var meansOfRows: [Double] { meansOfRows { Double($0) } }

  private func meansOfRows(_ value: (Float) -> Double) -> [Double] {
    var next = 0
    return rows.indices.map { number in
      let count = rows.trainedCount(of: number)
      defer { next += count }
      return losses[next..<next + count].reduce(0) { $0 + value($1) } / Double(max(1, count))
    }
  }

  /// STM: above it a token is not trained on.
  public static let mostLoss = nl_log(2.5)

  /// The rows without the tokens whose cross entropy was above ln 2.5, those apart of which nothing is left. They are in
  /// memory.
  ///
  /// - Returns: how many tokens were masked, and how many rows went, besides; and the numbers that the others had.
  public var masked: (rows: RowSet, tokens: Int, emptyRows: Int, numbers: [Int]) {
    var (next, tokens, emptyRows) = (0, 0, 0)
    var (number, numbers) = (0, [Int]())
    let kept = rows.filteringParts { row in
      var marked = row.marked
      for place in marked.indices.dropFirst() where marked[place] >= 0 {
        defer { next += 1 }
        guard Double(losses[next]) > Self.mostLoss else { continue }
        marked[place] = ~marked[place]
        tokens += 1
      }
      let row = TokenRow(marked: marked)
      defer { number += 1 }
      guard row.trainedCount == 0 else {
        numbers.append(number)
        return row
      }
      emptyRows += 1
      return nil
    }
    return (kept, tokens, emptyRows, numbers)
  }
}

extension RowSet {
  /// Each row as something else, or not at all; files keep their weights and their order.
  fileprivate func filteringParts(_ change: (TokenRow) -> TokenRow?) -> RowSet {
    var changed: [Part] = []
    for part in parts {
      var builder = TokenTableBuilder()
      for place in part.range {
        let entry = part.table.entry(place)
        guard let row = change(part.table.row(place)) else { continue }
        builder.append(row, line: Int(entry.line), hash: entry.hash)
      }
      let table = builder.table()
      guard table.count > 0 else { continue }
      changed.append(Part(table: table, range: 0..<table.count, weight: part.weight, file: part.file))
    }
    return RowSet(changed)
  }
}
