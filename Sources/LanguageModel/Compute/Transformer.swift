import Tensors

/// The decoder of qwen2, qwen3, llama and mistral; what differs between them is in the configuration.
struct Transformer {
  let configuration: ModelConfiguration
  let embedTokens: Weight
  let layers: [TransformerLayer]
  let norm: AdaptiveNorm
  /// [vocabulary, hidden]; with tied embeddings the same weight as `embedTokens`.
  let head: Weight

  /// Hidden states after the last layer, before the final norm: [T, hidden].
  func hidden(_ tokens: [Int32], _ pass: ForwardPass) throws(TensorError) -> Variable {
    var x = try pass.tape.embedding(tokens, table: embedTokens.matrix)
    for layer in layers {
      try pass.tape.watch?.step()
      if let kept = pass.kept, kept.layer == layer.index { kept.tensor = x.tensor }
      pass.trace?.expectGradient(by: x, layer: layer.index, on: pass.tape)
      x =
        try pass.recomputesLayers
        ? pass.tape.recomputed(x) { x throws(TensorError) in try layer(x, pass) } : layer(x, pass)
      pass.trace?.passed(x.tensor, layer: layer.index, on: pass.tape)
    }
    try pass.tape.watch?.step()
    return x
  }

  /// The sum of the token losses at the given places, which are the only ones the head is computed for.
  func lossSum(
    _ hidden: Variable, places: [Int32], labels: [Int32], _ pass: ForwardPass
  ) throws(TensorError) -> Double {
    let rows = try normed(hidden, places: places, pass)
    return try pass.tape.crossEntropy(rows, head: head.matrix, labels: labels)
  }

  /// Logits [places, vocabulary].
  func logits(_ hidden: Variable, places: [Int32], _ pass: ForwardPass) throws(TensorError) -> Tensor {
    let rows = try normed(hidden, places: places, pass)
    return try pass.tape.linear(rows, head.matrix).tensor
  }

  /// What the head is multiplied with, [places, hidden].
  func normed(
    _ hidden: Variable, places: [Int32], _ pass: ForwardPass
  ) throws(TensorError) -> Variable {
    try norm(
      pass.tape.gatherRows(hidden, places), epsilon: Float(configuration.rmsNormEpsilon), places: places, pass
    )
  }
}
