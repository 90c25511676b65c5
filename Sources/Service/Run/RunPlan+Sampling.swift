import NestedLearning

/// What a user is told of how rows are taken, where that is not each once in an epoch.
extension RunPlan {
  var samplingLines: [String] {
    var lines: [String] = []
    let difficulty =
      switch config.samplingDifficulty {
      case .score: "by length, rarity and what the model doubts"
      case .length, .rarity: "by \(config.samplingDifficulty.rawValue)"
      }
    switch config.samplingMode {
    case .shuffle: break
    case .difficulty:
      let range = config.samplingRange
      lines.append("those of difficulty \(range.lowerBound) to \(range.upperBound), \(difficulty)")
    case .importance: lines.append("drawn by weight (\(config.samplingWeightField ?? "")), with replacement")
    case .balanced: lines.append("each \(config.samplingBalanceField ?? "") as often as the others")
    case .length:
      let tolerance = Int((config.samplingLengthTolerance * 100).rounded())
      lines.append(
        "in batches within \(tolerance) % of the same length, \(config.samplingLengthMode.rawValue)"
          + (config.samplingDomainField.map { ", each \($0) in turn" } ?? ""))
    }
    if config.curriculumStrategy != .none {
      lines.append("curriculum \(config.curriculumStrategy.rawValue), \(difficulty)")
    }
    return lines.enumerated().map { ($0.offset == 0 ? "Rows     " : "         ") + $0.element }
  }
}
