import Kernels

extension Tape {
  /// −log softmax(z)[label] of each row of z [T, n], in nats, where the logits exist as a whole: those of small heads.
  ///
  /// It brings the gradient of Σ factor·loss by itself: dz = factor·(softmax(z) − onehot(label)). Every label must be from 0
  /// to below n. For heads over the vocabulary see ``crossEntropy(_:head:labels:)``.
  public func crossEntropy(
    _ logits: Variable, labels: [Int32], factors: [Float]
  ) throws(TensorError) -> [Double] {
    let n = logits.tensor.columns
    precondition(logits.shape == [labels.count, n], "logits \(logits.shape) for \(labels.count) labels")
    precondition(factors.count == labels.count, "\(factors.count) factors for \(labels.count) labels")
    precondition(labels.allSatisfy { 0 <= $0 && $0 < n }, "a label beyond \(n)")
    // The kernel leaves the gradient where the logits were, which others may still look at.
    let gradient = try memory.tensor(logits.shape)
    logits.tensor.withValues { values in gradient.withMutableValues { _ = $0.update(from: values) } }
    let wanted = zip(labels, factors).map {
      nl_token_objective(label: $0, base: -1, hard: $1, soft: 0, by_entropy: false)
    }
    var outcomes = [nl_token_outcome](repeating: nl_token_outcome(), count: labels.count)
    withExtendedLifetime(gradient) {
      nl_objective(
        threads.handle, labels.count, n, gradient.pointer, 0, nil, nil, wanted, &outcomes,
        logits.needsGradient)
    }
    try logits.gradient?.add(gradient, on: self)
    return outcomes.map(\.loss)
  }

  /// Adds numbers to the gradient of a variable that has as many elements; nothing where none is wanted.
  public func send(_ values: [Float], to variable: Variable) throws(TensorError) {
    guard let gradient = variable.gradient else { return }
    precondition(values.count == variable.tensor.count, "\(values.count) numbers for \(variable.shape)")
    let tensor = try memory.tensor(variable.shape)
    tensor.withMutableValues { target in values.withUnsafeBufferPointer { _ = target.update(from: $0) } }
    try gradient.add(tensor, on: self)
  }

  /// x [T, n] with some numbers zero and the others divided by the chance of staying; dx is dy under the same mask.
  public func dropout(_ x: Variable, _ dropout: Dropout) throws(TensorError) -> Variable {
    let y = try memory.tensor(x.shape)
    Kernel.dropout(threads, x.tensor, dropout, into: y)
    let output = output(y, needsGradient: x.needsGradient)
    guard let gradient = output.gradient else { return output }
    record { [xGradient = x.gradient] tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      let dx = try tape.memory.tensor(dy.shape)
      Kernel.dropout(tape.threads, dy, dropout, into: dx)
      try xGradient?.add(dx, on: tape)
    }
    return output
  }
}
