/// A module's part of a tier's run of values.
package struct ModulePart: Sendable, Equatable {
  /// What its parameters' names have in common: `model.layers.3.mlp.up_proj`.
  package let name: String
  package let range: Range<Int>
}

extension TierLayout {
  /// A tier's modules, in the order in which they lie in its values: the parameters whose names are the same up to the last
  /// dot.
  package func modules(tier: Int) -> [ModulePart] {
    var parts: [ModulePart] = []
    var start = 0
    for parameter in tiers[tier] {
      let end = start + parameter.count
      let module = parameter.name.lastIndex(of: ".").map { String(parameter.name[..<$0]) } ?? parameter.name
      if let last = parts.last, last.name == module {
        parts[parts.count - 1] = ModulePart(name: module, range: last.range.lowerBound..<end)
      } else {
        parts.append(ModulePart(name: module, range: start..<end))
      }
      start = end
    }
    return parts
  }
}
