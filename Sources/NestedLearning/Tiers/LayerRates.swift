/// What `layer_lr_decay` and `lr_groups` multiply the rates of parameters by.
struct LayerRates {
  /// By parameter; what is not here has 1.
  let scales: [String: Double]

  /// With L layers and decay d, layer l has d^(L − 1 − l), what stands after the last layer 1, and embeddings d^L
  /// (Howard & Ruder 2018, whose 2.6 is d = 1/2.6).
  ///
  /// - Throws: `TierError` if a pattern matches no module, or two match one.
  init(
    config: NestedLearningConfig, parameters: [TrainableParameter], layerCount: Int?
  ) throws(TierError) {
    let count = layerCount ?? (parameters.compactMap(\.layer).max() ?? -1) + 1
    var scales: [String: Double] = [:]
    let patterns = config.lrGroups.map { (glob: Glob($0.pattern), group: $0) }
    var unused = Set(config.lrGroups.map(\.pattern))
    for parameter in parameters {
      var scale = 1.0
      let below = parameter.layer.map { count - 1 - $0 } ?? (parameter.isEmbedding ? count : 0)
      for _ in 0..<below where config.layerLrDecay != 1 { scale *= config.layerLrDecay }
      let groups = patterns.filter { $0.glob.matches(parameter.name) }.map(\.group)
      guard groups.count < 2 else {
        throw TierError(
          reason:
            "lr_groups has two patterns for \(parameter.name): \(groups[0].pattern) and \(groups[1].pattern)",
          remedy: "make them narrower")
      }
      if let group = groups.first {
        scale *= group.value
        unused.remove(group.pattern)
      }
      if scale != 1 { scales[parameter.name] = scale }
    }
    if let pattern = unused.sortedByBytes().first {
      throw TierError(
        reason: "the pattern \(pattern) of lr_groups matches no parameter",
        remedy:
          "patterns are of whole names, as in *.lora_b; the first one is \(parameters.first?.name ?? "none")")
    }
    self.scales = scales
  }
}
