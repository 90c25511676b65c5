import Kernels

extension Tape {
  /// y[t,:] = table[ids[t],:]; table [vocabulary, n], y [T, n]. dtable[ids[t],:] += dy[t,:], t ascending.
  /// Every id must be a row of the table.
  public func embedding(_ ids: [Int32], table: Matrix) throws(TensorError) -> Variable {
    precondition(ids.allSatisfy { 0 <= $0 && $0 < table.rows }, "a token outside the vocabulary")
    let n = table.columns
    let y = try memory.tensor([ids.count, n])
    withExtendedLifetime((table, y)) {
      nl_embedding_forward(threads.handle, ids.count, n, ids, table.start, table.type, y.pointer)
    }
    let output = output(y, needsGradient: table.gradient != nil)
    guard let gradient = output.gradient else { return output }
    record { tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      try table.gradient?.addToZeros(on: tape) { target in
        withExtendedLifetime((dy, target)) {
          nl_embedding_backward(tape.threads.handle, ids.count, n, ids, dy.pointer, target.pointer)
        }
      }
    }
    return output
  }

  /// y[i,:] = x[indices[i],:], the rows that a loss is computed for. Indices ascend without repeats.
  /// dx is dy in these rows and zero in the others.
  public func gatherRows(_ x: Variable, _ indices: [Int32]) throws(TensorError) -> Variable {
    let (rows, n) = (x.tensor.rows, x.tensor.columns)
    precondition(indices.allSatisfy { 0 <= $0 && $0 < rows }, "a row outside \(x.shape)")
    let y = try memory.tensor([indices.count, n])
    withExtendedLifetime((x, y)) {
      nl_gather_rows(threads.handle, indices.count, n, indices, x.tensor.pointer, y.pointer)
    }
    let output = output(y, needsGradient: x.needsGradient)
    guard let gradient = output.gradient else { return output }
    record { [xGradient = x.gradient] tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      try xGradient?.addToZeros(on: tape) { target in
        withExtendedLifetime((dy, target)) {
          nl_scatter_add_rows(tape.threads.handle, indices.count, n, indices, dy.pointer, target.pointer)
        }
      }
    }
    return output
  }
}
