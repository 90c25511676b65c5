import Kernels

extension Tape {
  /// y = x·Φ(x), Φ the distribution function of the normal distribution; dx = dy·(Φ(x) + x·φ(x)). Of any shape.
  public func gelu(_ x: Variable) throws(TensorError) -> Variable {
    try elementwise(x, nl_gelu_forward, backward: nl_gelu_backward)
  }

  /// The sum over the rows of y [T, n] of Σ (y − target)²/n, which brings its own gradient 2·(y − target)/n. Rows are
  /// added in ascending order, in Double.
  public func squaredError(_ y: Variable, _ target: Tensor) throws(TensorError) -> Double {
    precondition(y.shape == target.shape, "\(y.shape) beside \(target.shape)")
    var losses = [Double](repeating: 0, count: y.tensor.rows)
    let dy = y.needsGradient ? try memory.tensor(y.shape) : nil
    withExtendedLifetime((y, target, dy)) {
      losses.withUnsafeMutableBufferPointer { losses in
        guard let loss = losses.baseAddress else { return }
        nl_squared_error(
          threads.handle, y.tensor.rows, y.tensor.columns, y.tensor.pointer, target.pointer, loss, dy?.pointer
        )
      }
    }
    if let dy { try y.gradient?.add(dy, on: self) }
    return losses.reduce(0, +)
  }
}
