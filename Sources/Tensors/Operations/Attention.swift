import Kernels

/// Which tokens may see which: packed sequences, grouped heads, causal, with an optional window.
public struct AttentionLayout {
  /// Sequence s has the query rows [queryOffsets[s], queryOffsets[s+1]), the same for keys. The ends are aligned.
  public let queryOffsets: [Int32]
  public let keyOffsets: [Int32]
  public let heads: Int
  public let keyValueHeads: Int
  public let dimension: Int
  /// A query sees the last so many keys, its own included; nil: all up to its own.
  public let window: Int?

  public init(
    queryOffsets: [Int32], keyOffsets: [Int32], heads: Int, keyValueHeads: Int, dimension: Int, window: Int?
  ) {
    precondition(queryOffsets.count == keyOffsets.count && !queryOffsets.isEmpty)
    precondition(keyValueHeads > 0 && heads % keyValueHeads == 0 && dimension % 2 == 0 && dimension <= 256)
    self.queryOffsets = queryOffsets
    self.keyOffsets = keyOffsets
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.dimension = dimension
    self.window = window
  }

  /// 1/√dim.
  var scale: Float { 1 / Float(dimension).squareRoot() }

  func withShape<R>(_ body: (UnsafePointer<nl_attention_shape>) -> R) -> R {
    queryOffsets.withUnsafeBufferPointer { queries in
      keyOffsets.withUnsafeBufferPointer { keys in
        var shape = nl_attention_shape(
          sequences: queryOffsets.count - 1, q_offsets: queries.baseAddress, k_offsets: keys.baseAddress,
          heads: heads, kv_heads: keyValueHeads, dim: dimension, scale: scale, window: window ?? 0)
        return body(&shape)
      }
    }
  }
}

extension Tape {
  /// Causal attention, softmax(q·kᵀ/√dim)·v per head. q and the result [Tq, heads, dim]; k, v [Tk, kvHeads, dim].
  ///
  /// Kept for the backward pass: q, k, v, the result and two numbers per query and head; scores are made again.
  /// With p = softmax, dp = do·vᵀ: dv = pᵀ·do, ds = p·(dp − Σ do·o), dq = ds·k/√dim, dk = dsᵀ·q/√dim.
  public func attention(
    q: Variable, k: Variable, v: Variable, layout: AttentionLayout
  ) throws(TensorError) -> Variable {
    precondition(q.shape == [Int(layout.queryOffsets.last ?? 0), layout.heads, layout.dimension])
    precondition(k.shape == v.shape && k.shape[1...] == [layout.keyValueHeads, layout.dimension])
    precondition(k.shape[0] >= Int(layout.keyOffsets.last ?? 0))
    let o = try memory.tensor(q.shape)
    let output = output(o, needsGradient: q.needsGradient || k.needsGradient || v.needsGradient)
    let maxima = output.needsGradient ? try memory.tensor([q.shape[0], layout.heads]) : nil
    let sums = output.needsGradient ? try memory.tensor([q.shape[0], layout.heads]) : nil
    withExtendedLifetime((q, k, v, o, maxima, sums)) {
      layout.withShape {
        nl_attention_forward(
          threads.handle, $0, q.tensor.pointer, k.tensor.pointer, v.tensor.pointer, o.pointer,
          maxima?.pointer, sums?.pointer)
      }
    }
    guard let gradient = output.gradient, let maxima, let sums else { return output }
    record { tape throws(TensorError) in
      guard let dO = gradient.take() else { return }
      let dq = try tape.memory.tensor(q.shape)
      let dk = try tape.memory.tensor(k.shape)
      let dv = try tape.memory.tensor(v.shape)
      withExtendedLifetime((q, k, v, o, maxima, sums, dO, dq, dk, dv)) {
        layout.withShape {
          nl_attention_backward(
            tape.threads.handle, $0, q.tensor.pointer, k.tensor.pointer, v.tensor.pointer, o.pointer,
            maxima.pointer, sums.pointer, dO.pointer, dq.pointer, dk.pointer, dv.pointer)
        }
      }
      try q.gradient?.add(dq, on: tape)
      try k.gradient?.add(dk, on: tape)
      try v.gradient?.add(dv, on: tape)
    }
    return output
  }
}
