/// y = x·wᵀ + bias + s·(dropout(x)·aᵀ)·b, a projection of a transformer with its low-rank adapter: w [out, in],
/// bias [out], a [r, in], b [r, out].
public struct LinearMap {
  public let weight: Matrix
  public let bias: Variable?
  public let lora: LoRA?

  public init(_ weight: Matrix, bias: Variable? = nil, lora: LoRA? = nil) {
    self.weight = weight
    self.bias = bias
    self.lora = lora
  }
}

extension Tape {
  /// One linear map of x [T, in], [T, out]; for the backward pass see `AppliedLinearMap.backward`.
  public func linear(
    _ x: Variable, _ weight: Matrix, bias: Variable? = nil, lora: LoRA? = nil
  ) throws(TensorError) -> Variable {
    try linear(x, [LinearMap(weight, bias: bias, lora: lora)])[0]
  }

  /// Some linear maps of one x [T, in], each [T, out]. To the bits of one after the other, their gradients sent back
  /// from the last to the first.
  public func linear(_ x: Variable, _ maps: [LinearMap]) throws(TensorError) -> [Variable] {
    for map in maps {
      precondition(
        x.tensor.columns == map.weight.columns, "\(x.shape) times a matrix with \(map.weight.columns) columns"
      )
    }
    let (ys, applied) = try projected(x.tensor, maps)
    var outputs: [Variable] = []
    for (y, map) in zip(ys, applied) {
      outputs.append(output(y, needsGradient: x.needsGradient || map.needsGradient))
    }
    guard outputs.contains(where: \.needsGradient) else { return outputs }
    let input = applied.contains(where: \.needsInput) ? x.tensor : nil
    record { [xGradient = x.gradient, gradients = outputs.map(\.gradient)] tape throws(TensorError) in
      for (map, gradient) in zip(applied, gradients).reversed() {
        guard let dy = gradient?.take() else { continue }
        try map.backward(tape, x: input, dy: dy, into: xGradient)
      }
    }
    return outputs
  }

  /// The forward pass alone.
  func projected(
    _ x: Tensor, _ maps: [LinearMap]
  ) throws(TensorError) -> (ys: [Tensor], applied: [AppliedLinearMap]) {
    var ys: [Tensor] = []
    for map in maps { ys.append(try memory.tensor(x.shape.dropLast() + [map.weight.rows])) }
    let weights = maps.map(\.weight)
    if let first = weights.first, weights.allSatisfy({ precision(with: $0) == precision(with: first) }) {
      Kernel.products(threads, x, timesTransposed: weights, into: ys, in: precision(with: first))
    } else {
      for (weight, y) in zip(weights, ys) {
        Kernel.product(threads, x, timesTransposed: weight, into: y, in: precision(with: weight))
      }
    }
    var applied: [AppliedLinearMap] = []
    for (map, y) in zip(maps, ys) {
      if let bias = map.bias { Kernel.addBias(threads, bias.tensor, to: y) }
      applied.append(AppliedLinearMap(map: map, hidden: try map.lora?.add(to: y, x: x, on: self)))
    }
    return (ys, applied)
  }
}

/// What the backward pass of a linear map needs.
struct AppliedLinearMap {
  let map: LinearMap
  /// s·dropout(x)·aᵀ, [T, r].
  let hidden: Tensor?

  var needsGradient: Bool {
    map.weight.gradient != nil || map.bias?.needsGradient == true || map.lora?.needsGradient == true
  }

  /// The gradients of w and a are products with the input.
  var needsInput: Bool { map.weight.gradient != nil || map.lora?.a.needsGradient == true }

  /// With e = s·dy·bᵀ [T, r] and h = s·dropout(x)·aᵀ:
  /// dx = dy·w + dropout(e·a), dw = dyᵀ·x, dbias = Σ_T dy, da = eᵀ·dropout(x), db = hᵀ·dy.
  func backward(_ tape: Tape, x: Tensor?, dy: Tensor, into dx: Gradient?) throws(TensorError) {
    let e = try backwardToInput(tape, dy: dy, into: dx)
    try backwardToParameters(tape, x: x, dy: dy, e: e)
  }

  /// dx alone, which needs no input.
  ///
  /// - Returns: e, if there is an adapter that needs it.
  func backwardToInput(_ tape: Tape, dy: Tensor, into dx: Gradient?) throws(TensorError) -> Tensor? {
    try dx?.addInto(on: tape) { target, accumulate in
      Kernel.product(
        tape.threads, dy, times: map.weight, into: target, accumulate: accumulate,
        in: tape.precision(with: map.weight))
    }
    guard let lora = map.lora, hidden != nil, dx != nil || lora.a.needsGradient else { return nil }
    let e = try lora.scaledGradient(tape, dy: dy)
    if let dx { try lora.sendBack(tape, e: e, into: dx) }
    return e
  }

  /// The rest. `x` is needed for the gradients of w and a, and `e` for that of a.
  func backwardToParameters(_ tape: Tape, x: Tensor?, dy: Tensor, e: Tensor?) throws(TensorError) {
    if let x {
      try map.weight.gradient?.addInto(on: tape) { target, accumulate in
        Kernel.product(tape.threads, transposed: dy, times: x, into: target, accumulate: accumulate)
      }
    }
    try map.bias?.gradient?.addInto(on: tape) { target, accumulate in
      Kernel.columnSum(tape.threads, dy, into: target, accumulate: accumulate)
    }
    if let lora = map.lora, let hidden {
      try lora.backwardToParameters(tape, x: x, hidden: hidden, dy: dy, e: e)
    }
  }
}
