import Kernels

extension Tape {
  /// y = a + b, of one shape. da = db = dy: both receive the same buffer.
  public func add(_ a: Variable, _ b: Variable) throws(TensorError) -> Variable {
    precondition(a.shape == b.shape, "\(a.shape) plus \(b.shape)")
    let y = try memory.tensor(a.shape)
    Kernel.add(threads, a.tensor, b.tensor, into: y)
    let output = output(y, needsGradient: a.needsGradient || b.needsGradient)
    guard let gradient = output.gradient else { return output }
    record { [aGradient = a.gradient, bGradient = b.gradient] tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      try aGradient?.add(dy, on: tape)
      try bGradient?.add(dy, on: tape)
    }
    return output
  }

  /// The second half of a gated feed-forward layer: y = linear(silu(gate)·up), gate and up [T, inner],
  /// weight [out, inner], y [T, out].
  ///
  /// silu(gate)·up is the widest tensor of a layer and cheap to compute, so it is not kept for the backward
  /// pass but made again, together with dgate = da·up·silu′(gate), dup = da·silu(gate), where a is the activation.
  public func gatedLinear(
    gate: Variable, up: Variable, _ weight: Matrix, bias: Variable? = nil, lora: LoRA? = nil
  ) throws(TensorError) -> Variable {
    precondition(gate.shape == up.shape && gate.tensor.columns == weight.columns)
    let (y, applied) = try projectedActivation(
      gate.tensor, up.tensor, LinearMap(weight, bias: bias, lora: lora))
    let inputsNeedGradient = gate.needsGradient || up.needsGradient
    let output = output(y, needsGradient: inputsNeedGradient || applied.needsGradient)
    guard let gradient = output.gradient else { return output }
    record { tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      let dActivation = inputsNeedGradient ? Gradient(shape: gate.shape) : nil
      let e = try applied.backwardToInput(tape, dy: dy, into: dActivation)
      let activation: Tensor?
      if let da = dActivation?.take() {
        activation = try tape.swiGLUBackward(gate, up, da)
      } else {
        activation = applied.needsInput ? try tape.activation(gate.tensor, up.tensor) : nil
      }
      try applied.backwardToParameters(tape, x: activation, dy: dy, e: e)
    }
    return output
  }

  private func projectedActivation(
    _ gate: Tensor, _ up: Tensor, _ map: LinearMap
  ) throws(TensorError) -> (y: Tensor, applied: AppliedLinearMap) {
    let (ys, applied) = try projected(activation(gate, up), [map])
    return (ys[0], applied[0])
  }

  private func activation(_ gate: Tensor, _ up: Tensor) throws(TensorError) -> Tensor {
    let y = try memory.tensor(gate.shape)
    Kernel.swiGLU(threads, gate: gate, up: up, into: y)
    return y
  }

  /// Sends `da` back, in whose place the activation is returned.
  private func swiGLUBackward(_ gate: Variable, _ up: Variable, _ da: Tensor) throws(TensorError) -> Tensor {
    let dGate = try memory.tensor(gate.shape)
    let dUp = try memory.tensor(up.shape)
    withExtendedLifetime((gate, up, da, dGate, dUp)) {
      nl_swiglu_backward(
        threads.handle, gate.tensor.count, gate.tensor.pointer, up.tensor.pointer, da.pointer, dGate.pointer,
        dUp.pointer, da.pointer)
    }
    try gate.gradient?.add(dGate, on: self)
    try up.gradient?.add(dUp, on: self)
    return da
  }

  /// A kernel that makes y of x element by element, and another that makes dx of x and dy.
  func elementwise(
    _ x: Variable,
    _ forward: (OpaquePointer?, Int, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?) -> Void,
    backward:
      @escaping (
        OpaquePointer?, Int, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?
      ) -> Void
  ) throws(TensorError) -> Variable {
    let y = try memory.tensor(x.shape)
    withExtendedLifetime((x, y)) { forward(threads.handle, y.count, x.tensor.pointer, y.pointer) }
    let output = output(y, needsGradient: x.needsGradient)
    guard let gradient = output.gradient else { return output }
    record { tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      let dx = try tape.memory.tensor(x.shape)
      withExtendedLifetime((x, dy, dx)) {
        backward(tape.threads.handle, dx.count, x.tensor.pointer, dy.pointer, dx.pointer)
      }
      try x.gradient?.add(dx, on: tape)
    }
    return output
  }
}
