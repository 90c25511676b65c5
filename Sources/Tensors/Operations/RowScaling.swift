import Kernels

/// A scale and a shift, each [n], for some rows of a tensor.
public struct RowScaling {
  /// Ascending.
  public var rows: [Int32]
  public var scale: Variable
  public var shift: Variable

  public init(rows: [Int32], scale: Variable, shift: Variable) {
    (self.rows, self.scale, self.shift) = (rows, scale, shift)
  }
}

extension Tape {
  /// y[i,:] = x[i,:]·scale + shift for the rows i of each part, and x[i,:] for the others. x [T, n]; no row is in two parts.
  ///
  /// dx[i,:] = dy[i,:]·scale, dscale = Σ dy[i,:]·x[i,:], dshift = Σ dy[i,:], rows ascending, in chains of 256.
  public func scaleRows(_ x: Variable, _ parts: [RowScaling]) throws(TensorError) -> Variable {
    let n = x.tensor.columns
    for part in parts {
      precondition(part.scale.shape == [n] && part.shift.shape == [n], "\(part.scale.shape) for \(x.shape)")
      precondition(part.rows.allSatisfy { 0 <= $0 && $0 < x.tensor.rows }, "a row outside \(x.shape)")
    }
    let y = try copy(of: x.tensor)
    for part in parts { scale(x.tensor, part, shifted: true, into: y) }
    let output = output(
      y,
      needsGradient: x.needsGradient || parts.contains { $0.scale.needsGradient || $0.shift.needsGradient })
    guard let gradient = output.gradient else { return output }
    record { tape throws(TensorError) in
      guard let dy = gradient.take() else { return }
      for part in parts { try tape.addWeights(x.tensor, dy, part) }
      guard let xGradient = x.gradient else { return }
      let dx = try tape.copy(of: dy)
      for part in parts { tape.scale(dy, part, shifted: false, into: dx) }
      try xGradient.add(dx, on: tape)
    }
    return output
  }

  private func copy(of x: Tensor) throws(TensorError) -> Tensor {
    let y = try memory.tensor(x.shape)
    x.withValues { values in y.withMutableValues { _ = $0.update(from: values) } }
    return y
  }

  private func scale(_ x: Tensor, _ part: RowScaling, shifted: Bool, into y: Tensor) {
    withExtendedLifetime((x, part.scale, part.shift, y)) {
      nl_scale_rows(
        threads.handle, part.rows.count, x.columns, part.rows, x.pointer, part.scale.tensor.pointer,
        shifted ? part.shift.tensor.pointer : nil, y.pointer)
    }
  }

  private func addWeights(_ x: Tensor, _ dy: Tensor, _ part: RowScaling) throws(TensorError) {
    guard part.scale.needsGradient || part.shift.needsGradient else { return }
    let (scale, shift) = (try memory.zeros([x.columns]), try memory.zeros([x.columns]))
    withExtendedLifetime((x, dy, scale, shift)) {
      nl_scale_rows_weights(
        threads.handle, part.rows.count, x.columns, part.rows, x.pointer, dy.pointer, scale.pointer,
        shift.pointer)
    }
    try part.scale.gradient?.add(scale, on: self)
    try part.shift.gradient?.add(shift, on: self)
  }
}
