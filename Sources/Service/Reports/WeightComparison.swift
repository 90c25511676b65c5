import Foundation
import JSON
import LanguageModel
import NestedLearning

/// How far the weights of two adapters, checkpoints or runs are from each other, by module and by tier. All sums are in
/// Double.
public struct WeightComparison {
  /// A module, a tier or all of them.
  struct Row {
    let name: String
    var tier: Int?
    /// How many numbers are compared.
    var count = 0
    /// ‖θ_B − θ_A‖² over the stored numbers; nil where a rank differs.
    var drift: Double? = 0
    /// ‖θ_A‖² and ‖θ_B‖².
    var first = 0.0
    var second = 0.0
    /// ‖ΔW_A‖², ‖ΔW_B‖² and ‖ΔW_B − ΔW_A‖² of what a model's matrices change by, s·BA; nil without pairs.
    var products: (first: Double, second: Double, difference: Double)?
    /// exp of the entropy of the normalised singular values of s·BA (Roy and Vetterli 2007); of a tier the mean over its
    /// modules. Nil without pairs, or where all values are zero.
    var ranks: (first: Double?, second: Double?) = (nil, nil)
  }

  let first: String
  let second: String
  let modules: [Row]
  let tiers: [Row]
  let total: Row

  /// Compares B with A; without B, a run's newest checkpoint with what the run started from.
  ///
  /// - Throws: what is wrong with a folder, or that the two have other modules or shapes.
  public init(_ a: String, _ b: String?, model: String? = nil) throws {
    if b == nil, !RecordedRun.isOne(a) {
      throw ServiceError(
        "\(a) is no run, and only a run can be compared with its own start", remedy: "give a second folder")
    }
    let start = try b == nil ? ComparedWeights(startOf: a) : ComparedWeights(path: a, model: model)
    let end = try ComparedWeights(path: b ?? a, model: model)
    try self.init(start, end)
  }

  init(_ a: ComparedWeights, _ b: ComparedWeights) throws {
    try Self.checkSameModules(a, b)
    (first, second) = (a.name, b.name)
    let tiers = b.tiers.isEmpty ? a.tiers : b.tiers
    let tierOfName = Dictionary(
      tiers.flatMap { tier in tier.parameters.map { ($0, tier.index) } },
      uniquingKeysWith: { first, _ in first })
    let names = Dictionary(grouping: b.shapes.keys.sortedByBytes()) { Self.module(of: $0) }
    modules = try names.keys.sortedByBytes().map { module in
      try Self.row(module, names[module] ?? [], a, b, tier: names[module]?.first.flatMap { tierOfName[$0] })
    }
    let rows = modules
    self.tiers = tiers.map { tier in
      Self.sum(rows.filter { $0.tier == tier.index }, name: "tier \(tier.index)", tier: tier.index)
    }
    total = Self.sum(rows, name: "all")
  }

  private static func module(of name: String) -> String {
    name.split(separator: ".").dropLast().joined(separator: ".")
  }

  private static func checkSameModules(_ a: ComparedWeights, _ b: ComparedWeights) throws {
    guard (a.adapter == nil) == (b.adapter == nil) else {
      throw ServiceError(
        "\(a.name) and \(b.name) are an adapter and a whole model",
        remedy: "merge the adapter with nl-tool merge first")
    }
    let (own, other) = (Set(a.shapes.keys), Set(b.shapes.keys))
    if let name = own.symmetricDifference(other).sortedByBytes().first {
      let holder = own.contains(name) ? a.name : b.name
      throw ServiceError(
        "only \(holder) has the tensor \(name)", remedy: "compare weights with the same modules")
    }
    for name in own.sortedByBytes() {
      let (x, y) = (a.shapes[name] ?? [], b.shapes[name] ?? [])
      guard x == y || Self.isPair(name) && x.dropFirst() == y.dropFirst() else {
        throw ServiceError("\(name) has the shape \(x) in \(a.name), and \(y) in \(b.name)")
      }
    }
  }

  private static func isPair(_ name: String) -> Bool {
    name.hasSuffix(".lora_a") || name.hasSuffix(".lora_b")
  }

  private static func row(
    _ module: String, _ names: [String], _ a: ComparedWeights, _ b: ComparedWeights, tier: Int?
  ) throws -> Row {
    var row = Row(name: module, tier: tier)
    for name in names {
      // Where a rank differs, the numbers of one have no counterparts in the other.
      let isSameShape = a.shapes[name] == b.shapes[name]
      var drift = 0.0
      try b.forEachPart(of: name) { range, y in
        row.count += range.count
        row.second += square(y)
        if isSameShape { drift += distance(try a.values(name, in: range), y) }
      }
      try a.forEachPart(of: name) { _, x in row.first += square(x) }
      row.drift = isSameShape ? row.drift.map { $0 + drift } : nil
    }
    guard names.contains(where: isPair), let one = LoRAModule(path: module) else { return row }
    let (p, q) = (try Pair(one, a), try Pair(one, b))
    let first = SingularValues.ofProduct(left: p.left, right: p.right)
    let second = SingularValues.ofProduct(left: q.left, right: q.right)
    let minus = p.left.map { $0.map { -$0 } }
    let difference = SingularValues.ofProduct(left: q.left + minus, right: q.right + p.right)
    row.products = (square(first), square(second), square(difference))
    row.ranks = (effectiveRank(first), effectiveRank(second))
    return row
  }

  private static func square(_ values: [Float]) -> Double {
    values.reduce(0.0) { $0 + Double($1) * Double($1) }
  }

  /// ‖y − x‖²
  private static func distance(_ x: [Float], _ y: [Float]) -> Double {
    zip(x, y).reduce(0.0) { sum, pair in
      let difference = Double(pair.1) - Double(pair.0)
      return sum + difference * difference
    }
  }

  private static func square(_ values: [Double]) -> Double { values.reduce(0.0) { $0 + $1 * $1 } }

  /// exp(−Σ p ln p), p_i = σ_i/Σσ; nil if all values are zero.
  static func effectiveRank(_ values: [Double]) -> Double? {
    let sum = values.reduce(0, +)
    guard sum > 0 else { return nil }
    let shares = values.map { $0 / sum }.filter { $0 > 0 }
    let entropy = -shares.reduce(0.0) { $0 + $1 * log($1) }
    return exp(entropy)
  }

  private static func sum(_ rows: [Row], name: String, tier: Int? = nil) -> Row {
    var sum = Row(name: name, tier: tier)
    for row in rows {
      sum.count += row.count
      sum.drift = row.drift.flatMap { drift in sum.drift.map { $0 + drift } }
      sum.first += row.first
      sum.second += row.second
      if let products = row.products {
        let before = sum.products ?? (0, 0, 0)
        sum.products = (
          before.first + products.first, before.second + products.second,
          before.difference + products.difference
        )
      }
    }
    func mean(_ values: [Double]) -> Double? {
      values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }
    sum.ranks = (mean(rows.compactMap(\.ranks.first)), mean(rows.compactMap(\.ranks.second)))
    return sum
  }
}

/// A LoRA pair's s·BA as a sum of products of a column and a row.
private struct Pair {
  let left: [[Double]]
  let right: [[Double]]

  /// lora_a is [r, in] and lora_b [r, out].
  init(_ module: LoRAModule, _ weights: ComparedWeights) throws {
    let scale = Double(weights.adapter?.scale(of: module) ?? 1)
    func rows(_ name: String) throws -> [[Double]] {
      let values = try weights.values(name).map(Double.init)
      let count = max(1, weights.shapes[name]?.first ?? 1)
      let width = values.count / count
      return (0..<count).map { Array(values[$0 * width..<($0 + 1) * width]) }
    }
    left = try rows(module.path + ".lora_b").map { $0.map { scale * $0 } }
    right = try rows(module.path + ".lora_a")
  }
}
