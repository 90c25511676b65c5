/// At which step each parameter begins to learn: `freeze`, `unfreeze` and `unfreeze_schedule`.
///
/// Gradual unfreezing (Howard & Ruder 2018) begins with the last layer, and adds the one before it at each epoch. It counts
/// layers that have trained parameters, not parameters: what stands after the last layer learns from the first step on, and
/// embeddings count as one more layer before the first.
struct Thawing {
  private let config: NestedLearningConfig
  /// By layer that is not frozen, how many are after it.
  private let depths: [Int: Int]
  /// The steps at which layers begin to learn: the last one, the one before it, …
  private let starts: [Int]

  /// - Parameter epochStart: the first step after so many epochs; nil where nobody knows: the first one.
  /// - Throws: `TierError` if a layer is frozen that no parameter is of.
  init(
    config: NestedLearningConfig, parameters: [TrainableParameter], epochStart: ((Int) -> Int)?
  ) throws(TierError) {
    self.config = config
    let layers = Set(parameters.compactMap(\.layer)).sorted()
    if let unknown = config.freeze.first(where: { part in
      !part.isEmbeddings && !layers.contains(where: part.holds)
    }) {
      throw TierError(
        reason: "freeze names \(unknown.text), and the layers that have trained parameters are \(layers)",
        remedy: "name some of these, or leave it out")
    }
    let learning = layers.filter { layer in !config.freeze.contains { $0.holds(layer) } }
    depths = Dictionary(uniqueKeysWithValues: learning.reversed().enumerated().map { ($1, $0) })
    starts = Self.starts(config, count: learning.count + 1, epochStart: epochStart ?? { _ in 1 })
  }

  private static func starts(
    _ config: NestedLearningConfig, count: Int, epochStart: (Int) -> Int
  ) -> [Int] {
    let stages = config.unfreezeSchedule.map { stage -> (step: Int, layers: Int) in
      switch stage.at {
      case .step(let step): (step, stage.layers)
      case .epoch(let epoch): (epoch == 0 ? 1 : epochStart(epoch), stage.layers)
      }
    }
    // With 0 layers at the start, what is after the layers learns alone, such as the heads of tasks.
    let waits = stages.contains { $0.step <= 1 && $0.layers == 0 }
    return (0..<count).map { depth in
      if depth == 0, !waits { return 1 }
      switch config.unfreeze {
      case .none where stages.isEmpty: return 1
      case .none: return stages.filter { $0.layers > depth }.map(\.step).min() ?? Tier.never
      case .gradual: return epochStart(depth)
      }
    }
  }

  /// The first step that may update a parameter; `Tier.never` for what is frozen.
  func firstStep(of parameter: TrainableParameter) -> Int {
    if let layer = parameter.layer { return depths[layer].map { starts[$0] } ?? Tier.never }
    guard parameter.isEmbedding else { return 1 }
    return config.freeze.contains(where: \.isEmbeddings) ? Tier.never : starts.last ?? 1
  }
}
