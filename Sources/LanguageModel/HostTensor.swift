/// A tensor of 32-bit floats in ordinary memory, row-major.
public struct HostTensor: Sendable, Equatable {
  public let shape: [Int]
  public var values: [Float]

  /// `values` has as many elements as `shape` says; anything else is a mistake of the caller.
  public init(shape: [Int], values: [Float]) {
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for the shape \(shape)")
    self.shape = shape
    self.values = values
  }

  public init(zeros shape: [Int]) {
    self.init(shape: shape, values: [Float](repeating: 0, count: shape.reduce(1, *)))
  }

  public var count: Int { values.count }

  /// [m, n] → [n, m].
  public func transposed() -> HostTensor {
    precondition(shape.count == 2, "only a matrix can be transposed, not the shape \(shape)")
    let (rows, columns) = (shape[0], shape[1])
    var out = [Float](repeating: 0, count: values.count)
    for row in 0..<rows {
      for column in 0..<columns { out[column * rows + row] = values[row * columns + column] }
    }
    return HostTensor(shape: [columns, rows], values: out)
  }
}
