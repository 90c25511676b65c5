import Kernels

extension Tape {
  /// y[r,:] = the mean of x[t,:] over t in [offsets[r], offsets[r+1]), added in ascending order; x [T, n], y [rows, n].
  ///
  /// - Parameters:
  ///   - offsets: ascending from 0 to T; no row is empty
  ///   - factor: what goes back is multiplied by this: dx[t,:] = dy[r,:]·(factor/count). With −λ it is gradient reversal:
  ///     the identity forward, −λ backward (Ganin et al. 2016)
  public func meanOfRows(
    _ x: Variable, offsets: [Int32], gradientTimes factor: Float = 1
  ) throws(TensorError) -> Variable {
    let (rows, n) = (offsets.count - 1, x.tensor.columns)
    precondition(
      offsets.first == 0 && offsets.last.map(Int.init) == x.tensor.rows, "\(offsets) of \(x.shape)")
    precondition(zip(offsets, offsets.dropFirst()).allSatisfy { $0 < $1 }, "an empty row has no mean")
    let y = try memory.tensor([rows, n])
    withExtendedLifetime((x, y)) {
      nl_mean_rows(threads.handle, rows, n, offsets, x.tensor.pointer, y.pointer)
    }
    let output = output(y, needsGradient: x.needsGradient)
    guard let gradient = output.gradient else { return output }
    record { [xGradient = x.gradient, shape = x.shape] tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      let dx = try tape.memory.tensor(shape)
      withExtendedLifetime((dy, dx)) {
        nl_mean_rows_backward(tape.threads.handle, rows, n, offsets, factor, dy.pointer, dx.pointer)
      }
      try xGradient?.add(dx, on: tape)
    }
    return output
  }
}
