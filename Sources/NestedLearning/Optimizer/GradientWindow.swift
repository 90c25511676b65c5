/// The gradients that have come in since each tier's last update, for `mean` and `sum` windows: one chain of sums
/// per parameter and micro-batch index g, in step order. At the boundary the fixed tree runs over the chains.
public struct GradientWindow: Sendable {
  /// G, the micro-batches of a step.
  public let microBatchCount: Int
  /// By g, then by parameter. A chain that has just been applied is not there: the next step's gradient is then
  /// the chain, and nothing is added to it, not even zero.
  public private(set) var chains: [GradientSums]

  public init(microBatchCount: Int) {
    self.init(chains: Array(repeating: [:], count: microBatchCount))
  }

  init(chains: [GradientSums]) {
    microBatchCount = chains.count
    self.chains = chains
  }

  /// What a chain takes of one micro-batch: its un-normalised gradient times Float(1)/Float(the step's trained
  /// tokens). The product is rounded before it is added to a chain. Workers do this, as the number depends on
  /// the data alone; it is defined here once.
  public static func scaled(_ gradient: [Float], trainedTokens: Int) -> [Float] {
    var scaled = gradient
    Vectors.scale(&scaled, by: Float(1) / Float(max(1, trainedTokens)))
    return scaled
  }

  /// The sum over the window that the step with these gradients closes: the fixed tree over (chain + gradient).
  ///
  /// - Parameter gradients: of this parameter, by g, as `scaled` gives them.
  func total(of name: String, adding gradients: [[Float]]) throws -> [Float] {
    try ReductionTree.reduce(
      .root(count: gradients.count), count: gradients.count,
      leaf: { g in
        guard chains.indices.contains(g), var chain = chains[g][name] else { return gradients[g] }
        Vectors.add(gradients[g], to: &chain)
        return chain
      },
      add: { Vectors.add($1, to: &$0) })
  }

  /// Adds one step's gradients to the chains of a parameter.
  mutating func add(_ gradients: [[Float]], to name: String) {
    for (g, gradient) in gradients.enumerated() where chains.indices.contains(g) {
      if chains[g][name] == nil {
        chains[g][name] = gradient
      } else {
        Vectors.add(gradient, to: &chains[g][name, default: []])
      }
    }
  }

  /// Empties all chains.
  mutating func removeAll() { for g in chains.indices { chains[g] = [:] } }

  /// Empties the chains of a parameter whose window has been applied.
  mutating func close(_ name: String) {
    for g in chains.indices { chains[g][name] = nil }
  }
}
