import NestedLearning

/// At which of the first steps each tier is updated, as a picture: a row for each tier, a mark for each update.
struct UpdateMarks {
  let tiers: [Tier]
  let steps: Int
  /// Of the tiers, where they have any.
  var names: [String] = []

  var html: String {
    guard !tiers.isEmpty, steps > 0 else { return "" }
    let (left, width, row) = (names.isEmpty ? 62.0 : 110.0, 1000.0, 18.0)
    let cell = (width - left) / Double(steps)
    let lines = tiers.enumerated().map { place, tier in
      let top = Double(place) * row
      let marks = (1...steps).filter(tier.isActive).map { step in
        "M\(left + Double(step - 1) * cell + 1) \(top + 3)h\(max(1, cell - 2))v\(row - 6)h-\(max(1, cell - 2))z"
      }
      let name = names.indices.contains(place) ? names[place] : "tier \(tier.index)"
      return "<text x=\"0\" y=\"\(top + 13)\">\(HTMLPage.escaped(name))</text>"
        + "<path class=\"f\(place % LineChart.colorCount)\" d=\"\(marks.joined())\"/>"
    }
    let height = Double(tiers.count) * row
    return """
      <figure><figcaption>Updates in the first \(steps) steps</figcaption>
      <svg viewBox="0 0 \(width) \(height)" role="img" aria-label="updates of each tier">
      \(lines.joined(separator: "\n"))
      </svg></figure>
      """
  }
}
