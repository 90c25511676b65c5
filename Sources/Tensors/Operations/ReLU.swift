import Kernels

extension Tape {
  /// y = max(x, 0); dx is dy where x > 0, and 0 elsewhere. Of any shape.
  public func relu(_ x: Variable) throws(TensorError) -> Variable {
    let y = try memory.tensor(x.shape)
    withExtendedLifetime((x, y)) { nl_relu_forward(threads.handle, y.count, x.tensor.pointer, y.pointer) }
    let output = output(y, needsGradient: x.needsGradient)
    guard let gradient = output.gradient else { return output }
    record { tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      let dx = try tape.memory.tensor(x.shape)
      withExtendedLifetime((x, dy, dx)) {
        nl_relu_backward(tape.threads.handle, dx.count, x.tensor.pointer, dy.pointer, dx.pointer)
      }
      try x.gradient?.add(dx, on: tape)
    }
    return output
  }
}
