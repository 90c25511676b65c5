import Kernels

extension Tape {
  /// y = max(x, 0); dx is dy where x > 0, and 0 elsewhere. Of any shape.
  public func relu(_ x: Variable) throws(TensorError) -> Variable {
    try elementwise(x, nl_relu_forward, backward: nl_relu_backward)
  }
}
