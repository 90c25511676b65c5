import Kernels

/// Cosines and sines of the rotation angles, [positions, dim/2] each.
public struct RotationTables {
  public let cosines: Tensor
  public let sines: Tensor

  public init(cosines: Tensor, sines: Tensor) {
    precondition(cosines.shape == sines.shape && cosines.shape.count == 2)
    self.cosines = cosines
    self.sines = sines
  }

  /// Positions that the tables cover.
  public var positions: Int { cosines.shape[0] }
}

extension Tape {
  /// Rotary position embedding in its rotate-half form (Su et al. 2021): with h = dim/2 and the angle φ of
  /// (position, i), (y[i], y[i+h]) is (x[i], x[i+h]) turned by φ. x [T, heads, dim], positions [T].
  /// The gradient is turned back by −φ.
  ///
  /// A buffer that nobody else holds is turned where it stands.
  public func rope(
    _ x: consuming Variable, positions: [Int32], tables: RotationTables
  ) throws(TensorError) -> Variable {
    let inputGradient = x.gradient
    let y = try x.tensor.isUnshared() ? x.tensor : memory.tensor(x.shape)
    rotate(x.tensor, into: y, positions: positions, tables: tables, inverse: false)
    let output = output(y, needsGradient: inputGradient != nil)
    guard let gradient = output.gradient else { return output }
    record { tape throws(TensorError) in
      guard var dy = gradient.take() else { return }
      let dx = try dy.isUnshared() ? dy : tape.memory.tensor(dy.shape)
      tape.rotate(dy, into: dx, positions: positions, tables: tables, inverse: true)
      try inputGradient?.add(dx, on: tape)
    }
    return output
  }

  private func rotate(
    _ x: Tensor, into y: Tensor, positions: [Int32], tables: RotationTables, inverse: Bool
  ) {
    precondition(
      x.shape.count == 3 && x.shape[0] == positions.count && x.shape[2] == 2 * tables.cosines.shape[1],
      "a rotation of \(x.shape) by tables of shape \(tables.cosines.shape)")
    precondition(positions.allSatisfy { 0 <= $0 && $0 < tables.positions }, "positions beyond the tables")
    withExtendedLifetime((x, y, tables)) {
      nl_rope(
        threads.handle, x.shape[0], x.shape[1], x.shape[2], tables.cosines.pointer, tables.sines.pointer,
        positions, x.pointer, y.pointer, inverse)
    }
  }
}
