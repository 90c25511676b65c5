import Foundation
import JSON

extension WeightComparison {
  /// - Parameter listsModules: a line for each module, too.
  public func text(listsModules: Bool = false) -> String {
    let rows = tiers + [total] + (listsModules ? modules : [])
    let hasPairs = total.products != nil
    var table = TextTable(
      [
        .init(title: ""), .init(title: "Tier", isNumber: true), .init(title: "Numbers", isNumber: true),
        .init(title: "‖A‖", isNumber: true), .init(title: "‖B‖", isNumber: true),
        .init(title: "‖B − A‖", isNumber: true), .init(title: "‖B − A‖/‖A‖", isNumber: true),
      ]
        + (hasPairs
          ? ["‖ΔW_A‖", "‖ΔW_B‖", "‖ΔW_B − ΔW_A‖", "Rank A", "Rank B"].map { .init(title: $0, isNumber: true) }
          : []))
    for row in rows {
      var cells = [
        row.name, row.tier.map(String.init) ?? "", "\(row.count)", Self.shown(row.first.squareRoot()),
        Self.shown(row.second.squareRoot()), Self.shown(row.drift?.squareRoot()),
        Self.shown(row.relativeDrift),
      ]
      if hasPairs {
        cells += [
          Self.shown(row.products?.first.squareRoot()), Self.shown(row.products?.second.squareRoot()),
          Self.shown(row.products?.difference.squareRoot()), Self.shown(row.ranks.first),
          Self.shown(row.ranks.second),
        ]
      }
      table.add(cells)
    }
    return """
      A: \(first)
      B: \(second)

      \(table.text)
      """
        + (hasPairs
          ? "\n\nΔW is s·BA, what a matrix of the model changes by; Rank is its effective rank." : "")
  }

  public var json: JSONValue {
    [
      "a": .string(first), "b": .string(second), "total": Self.json(total),
      "tiers": .array(tiers.map(Self.json)), "modules": .array(modules.map(Self.json)),
    ]
  }

  private static func json(_ row: Row) -> JSONValue {
    func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
    return [
      "name": .string(row.name), "tier": row.tier.map { .number($0) } ?? .null, "numbers": .number(row.count),
      "norm_a": .number(row.first.squareRoot()), "norm_b": .number(row.second.squareRoot()),
      "drift": number(row.drift?.squareRoot()), "relative_drift": number(row.relativeDrift),
      "product_norm_a": number(row.products?.first.squareRoot()),
      "product_norm_b": number(row.products?.second.squareRoot()),
      "product_drift": number(row.products?.difference.squareRoot()),
      "effective_rank_a": number(row.ranks.first), "effective_rank_b": number(row.ranks.second),
    ]
  }

  private static func shown(_ value: Double?) -> String {
    guard let value else { return "–" }
    return value != 0 && value.magnitude < 0.0001
      ? String(format: "%.2e", value) : ProgressLine.decimal(value, places: 4)
  }
}

extension WeightComparison.Row {
  /// Nil without a drift, or where A is zero.
  fileprivate var relativeDrift: Double? {
    first > 0 ? drift.map { ($0 / first).squareRoot() } : nil
  }
}
