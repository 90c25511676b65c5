import Service

/// Workers without the base model.
extension Scenario {
  /// Most workers have to fetch the model before they are ready, and connections are cut over it.
  mutating func addModelFetches(using random: inout SplitMix64) {
    guard !workers.contains(where: { $0.ownModel != nil }) else { return }
    for place in workers.indices where !workers[place].isLocal && random.chance(0.7) {
      workers[place].fetchesModels = true
    }
    fetchLimits.pieceBytes = Int.random(in: 16...512, using: &random)
    fetchLimits.windowBytes = fetchLimits.pieceBytes * Int.random(in: 1...4, using: &random)
    if random.chance(0.8) { cutsAtChunk = random.logarithmic(0.003...0.1) }
  }
}
