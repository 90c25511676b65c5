import Kernels

extension Tape {
  /// y = w·x/√(mean(x²) + ε) over the last dimension: x [.., n], w [n] (Zhang and Sennrich 2019).
  ///
  /// With r = 1/√(mean(x²) + ε): dx = r·(dy·w − x·r²·mean(dy·w·x)), dw = Σ dy·x·r over all rows.
  public func rmsNorm(_ x: Variable, weight: Variable, epsilon: Float) throws(TensorError) -> Variable {
    let (rows, n) = (x.tensor.rows, x.tensor.columns)
    precondition(weight.shape == [n], "a weight of shape \(weight.shape) for \(x.shape)")
    let y = try memory.tensor(x.shape)
    let output = output(y, needsGradient: x.needsGradient || weight.needsGradient)
    let reciprocals = output.needsGradient ? try memory.tensor([rows]) : nil
    withExtendedLifetime((x, weight, y, reciprocals)) {
      nl_rmsnorm_forward(
        threads.handle, rows, n, epsilon, x.tensor.pointer, weight.tensor.pointer, y.pointer,
        reciprocals?.pointer)
    }
    guard let gradient = output.gradient, let reciprocals else { return output }
    record { tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      try tape.rmsNormBackward(x, weight, reciprocals, dy)
    }
    return output
  }

  private func rmsNormBackward(
    _ x: Variable, _ weight: Variable, _ reciprocals: Tensor, _ dy: Tensor
  ) throws(TensorError) {
    let (rows, n) = (x.tensor.rows, x.tensor.columns)
    func run(dx: Tensor, accumulate: Bool, dw: Tensor?) {
      withExtendedLifetime((x, weight, reciprocals, dy, dx, dw)) {
        nl_rmsnorm_backward(
          threads.handle, rows, n, x.tensor.pointer, weight.tensor.pointer, reciprocals.pointer, dy.pointer,
          dx.pointer, accumulate, dw?.pointer)
      }
    }
    func addToInput(dw: Tensor?) throws(TensorError) {
      if let dx = x.gradient {
        try dx.addInto(on: self) { run(dx: $0, accumulate: $1, dw: dw) }
      } else {
        // The kernel always writes dx; here nobody wants it.
        run(dx: try memory.tensor(x.shape), accumulate: false, dw: dw)
      }
    }
    guard let dw = weight.gradient else { return try addToInput(dw: nil) }
    try dw.addToZeros(on: self) { target throws(TensorError) in try addToInput(dw: target) }
  }
}
