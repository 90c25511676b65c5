import Tensors

/// One layer of the decoder. Property names are the checkpoint's names.
struct TransformerLayer {
  let index: Int
  let configuration: ModelConfiguration
  let inputLayerNorm: AdaptiveNorm
  let postAttentionLayerNorm: AdaptiveNorm
  /// Norms of each query and key head (qwen3).
  let queryNorm: Parameter?
  let keyNorm: Parameter?
  let query: LinearLayer
  let key: LinearLayer
  let value: LinearLayer
  let output: LinearLayer
  let gate: LinearLayer
  let up: LinearLayer
  let down: LinearLayer

  /// x + attention(norm(x)), then x + feedForward(norm(x)). x [T, hidden].
  func callAsFunction(_ x: Variable, _ pass: ForwardPass) throws(TensorError) -> Variable {
    let (tape, epsilon) = (pass.tape, Float(configuration.rmsNormEpsilon))
    let attended = try tape.add(x, attention(inputLayerNorm(x, epsilon: epsilon, pass), pass))
    return try tape.add(
      attended, feedForward(postAttentionLayerNorm(attended, epsilon: epsilon, pass), pass))
  }

  private func attention(_ x: Variable, _ pass: ForwardPass) throws(TensorError) -> Variable {
    // Taken out one by one, as a buffer that nobody else holds is rotated where it stands.
    var projections = try pass.tape.linear(x, [query.map(pass), key.map(pass), value.map(pass)])
    var v = projections.removeLast().reshaped(
      [x.shape[0], configuration.keyValueHeadCount, configuration.headDimension])
    var k = try rotated(
      projections.removeLast(), norm: keyNorm, heads: configuration.keyValueHeadCount, pass)
    let q = try rotated(projections.removeLast(), norm: queryNorm, heads: configuration.headCount, pass)
    var keyOffsets = pass.offsets
    if let cache = pass.cache {
      keyOffsets = cache.keyOffsets(adding: x.shape[0])
      (k, v) = try cache.append(layer: index, keys: k.tensor, values: v.tensor)
    }
    let layout = AttentionLayout(
      queryOffsets: pass.offsets, keyOffsets: keyOffsets, heads: configuration.headCount,
      keyValueHeads: configuration.keyValueHeadCount, dimension: configuration.headDimension,
      window: configuration.slidingWindow(index))
    let o = try pass.tape.attention(q: q, k: k, v: v, layout: layout)
    return try output(o.reshaped([x.shape[0], configuration.headCount * configuration.headDimension]), pass)
  }

  /// [T, heads·dim] → [T, heads, dim], normed per head if the model does so, then turned by position.
  private func rotated(
    _ x: consuming Variable, norm weight: Parameter?, heads: Int, _ pass: ForwardPass
  ) throws(TensorError) -> Variable {
    var x = x.reshaped([x.shape[0], heads, configuration.headDimension])
    if let weight {
      x = try pass.tape.rmsNorm(
        x, weight: weight.variable, epsilon: Float(configuration.rmsNormEpsilon))
    }
    return try pass.tape.rope(x, positions: pass.rotations, tables: pass.tables)
  }

  private func feedForward(_ x: Variable, _ pass: ForwardPass) throws(TensorError) -> Variable {
    let projections = try pass.tape.linear(x, [gate.map(pass), up.map(pass)])
    return try down.gated(gate: projections[0], up: projections[1], pass)
  }
}
