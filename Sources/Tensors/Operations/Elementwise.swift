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
  /// pass but made again. dgate = da·up·silu′(gate), dup = da·silu(gate), where a is the activation.
  public func gatedLinear(
    gate: Variable, up: Variable, _ weight: Matrix, bias: Variable? = nil, lora: LoRA? = nil
  ) throws(TensorError) -> Variable {
    precondition(gate.shape == up.shape && gate.tensor.columns == weight.columns)
    let (y, hidden) = try projectedActivation(gate.tensor, up.tensor, weight, bias: bias, lora: lora)
    let projection = Projection(weight: weight, bias: bias, lora: lora, hidden: hidden)
    let inputsNeedGradient = gate.needsGradient || up.needsGradient
    let output = output(y, needsGradient: inputsNeedGradient || projection.needsGradient)
    guard let gradient = output.gradient else { return output }
    record { tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      let dActivation = inputsNeedGradient ? Gradient(shape: gate.shape) : nil
      let activation = projection.needsInput ? try tape.activation(gate.tensor, up.tensor) : nil
      try projection.backward(tape, x: activation, dy: dy, into: dActivation)
      guard let da = dActivation?.take() else { return }
      try tape.swiGLUBackward(gate, up, da)
    }
    return output
  }

  private func projectedActivation(
    _ gate: Tensor, _ up: Tensor, _ weight: Matrix, bias: Variable?, lora: LoRA?
  ) throws(TensorError) -> (y: Tensor, hidden: Tensor?) {
    try projected(activation(gate, up), weight, bias: bias, lora: lora)
  }

  private func activation(_ gate: Tensor, _ up: Tensor) throws(TensorError) -> Tensor {
    let y = try memory.tensor(gate.shape)
    Kernel.swiGLU(threads, gate: gate, up: up, into: y)
    return y
  }

  private func swiGLUBackward(_ gate: Variable, _ up: Variable, _ dy: Tensor) throws(TensorError) {
    let dGate = try memory.tensor(gate.shape)
    let dUp = try memory.tensor(up.shape)
    withExtendedLifetime((gate, up, dy, dGate, dUp)) {
      nl_swiglu_backward(
        threads.handle, gate.tensor.count, gate.tensor.pointer, up.tensor.pointer, dy.pointer, dGate.pointer,
        dUp.pointer)
    }
    try gate.gradient?.add(dGate, on: self)
    try up.gradient?.add(dUp, on: self)
  }
}
