extension TierAssignment {
  /// With n modules and K tiers, the module at place i of the descending importances, of equals the one with the lower
  /// name first, goes to tier min(⌊i/⌊n/K⌋⌋, K − 1).
  static func byImportance(
    _ parameters: [TrainableParameter], importance: [String: Double], tierCount: Int
  ) throws(TierError) -> [Int] {
    let modules = Set(parameters.map(\.module)).sortedByBytes()
    if let unknown = modules.first(where: { importance[$0] == nil }) {
      throw TierError(
        reason: "how important \(unknown) is was not measured",
        remedy: "use a strategy that needs no gradients, such as layer_depth")
    }
    let ranked = modules.enumerated().sorted { a, b in
      let (of, other) = (importance[a.element] ?? 0, importance[b.element] ?? 0)
      return of != other ? of > other : a.offset < b.offset
    }
    return try inTurn(parameters, order: ranked.map(\.element), tierCount: tierCount)
  }
}
