extension Tape {
  /// y = x·wᵀ + bias + s·(dropout(x)·aᵀ)·b, the projection of a transformer with its low-rank adapter.
  ///
  /// Shapes: x [T, in], w [out, in], bias [out], a [r, in], b [r, out], y [T, out]. For the backward pass see
  /// `Projection.backward`.
  public func linear(
    _ x: Variable, _ weight: Matrix, bias: Variable? = nil, lora: LoRA? = nil
  ) throws(TensorError) -> Variable {
    precondition(
      x.tensor.columns == weight.columns, "\(x.shape) times a matrix with \(weight.columns) columns")
    let (y, hidden) = try projected(x.tensor, weight, bias: bias, lora: lora)
    let projection = Projection(weight: weight, bias: bias, lora: lora, hidden: hidden)
    let needed = x.needsGradient || projection.needsGradient
    let output = output(y, needsGradient: needed)
    guard needed else { return output }
    let input = projection.needsInput ? x.tensor : nil
    record { [xGradient = x.gradient, gradient = output.gradient] tape throws(TensorError) in
      guard let dy = gradient?.take() else { return }
      try projection.backward(tape, x: input, dy: dy, into: xGradient)
    }
    return output
  }

  /// The forward pass alone: y, and s·dropout(x)·aᵀ [T, r] if there is an adapter.
  func projected(
    _ x: Tensor, _ weight: Matrix, bias: Variable?, lora: LoRA?
  ) throws(TensorError) -> (y: Tensor, hidden: Tensor?) {
    let y = try memory.tensor(x.shape.dropLast() + [weight.rows])
    Kernel.product(threads, x, timesTransposed: weight, into: y, in: precision(with: weight))
    if let bias { Kernel.addBias(threads, bias.tensor, to: y) }
    guard let lora else { return (y, nil) }
    let hidden = try memory.tensor([x.rows, lora.rank])
    try lora.withDropout(x, on: self) { dropped in
      Kernel.product(threads, dropped, timesTransposed: Matrix(lora.a), into: hidden)
    }
    Kernel.scale(threads, hidden, by: lora.scale)
    Kernel.product(threads, hidden, times: Matrix(lora.b), into: y, accumulate: true)
    return (y, hidden)
  }
}

/// What the backward pass of one projection needs.
struct Projection {
  let weight: Matrix
  let bias: Variable?
  let lora: LoRA?
  /// s·dropout(x)·aᵀ, [T, r].
  let hidden: Tensor?

  var needsGradient: Bool {
    weight.gradient != nil || bias?.needsGradient == true || lora?.needsGradient == true
  }

  /// The gradients of w and a are products with the input.
  var needsInput: Bool { weight.gradient != nil || lora?.a.needsGradient == true }

  /// With e = s·dy·bᵀ [T, r] and h = s·dropout(x)·aᵀ:
  /// dx = dy·w + dropout(e·a), dw = dyᵀ·x, dbias = Σ_T dy, da = eᵀ·dropout(x), db = hᵀ·dy.
  func backward(
    _ tape: Tape, x: Tensor?, dy: Tensor, into dx: Gradient?
  ) throws(TensorError) {
    try dx?.addInto(on: tape) { target, accumulate in
      Kernel.product(
        tape.threads, dy, times: weight, into: target, accumulate: accumulate,
        in: tape.precision(with: weight))
    }
    if let x {
      try weight.gradient?.addInto(on: tape) { target, accumulate in
        Kernel.product(tape.threads, transposed: dy, times: x, into: target, accumulate: accumulate)
      }
    }
    try bias?.gradient?.addInto(on: tape) { target, accumulate in
      Kernel.columnSum(tape.threads, dy, into: target, accumulate: accumulate)
    }
    if let lora, let hidden {
      try lora.backward(tape, x: x, hidden: hidden, dy: dy, into: dx)
    }
  }
}
