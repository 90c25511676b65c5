import Kernels

extension Tape {
  /// Rows whose logits exist at a time. The number decides in which blocks the head's gradient is summed.
  static let headChunk = 128

  /// The sum of −log softmax(x·headᵀ)[label] over all rows; x [T, n], head [vocabulary, n], labels [T].
  ///
  /// Head and loss are one operation, so that logits exist for `headChunk` rows only. They turn into their own
  /// gradient g = softmax − onehot where they stand, and dx = g·head, dhead = gᵀ·x are taken from it at once;
  /// the sum's own gradient is 1. Rows are added to the loss in ascending order, in Double.
  /// Every label must be a row of the head.
  public func crossEntropy(_ x: Variable, head: Matrix, labels: [Int32]) throws(TensorError) -> Double {
    let n = head.columns
    precondition(x.shape == [labels.count, n], "hidden states \(x.shape) for \(labels.count) labels")
    precondition(labels.allSatisfy { 0 <= $0 && $0 < head.rows }, "a label outside the vocabulary")
    let needed = x.needsGradient || head.gradient != nil
    let dx = x.needsGradient ? try memory.tensor(x.shape) : nil
    let logits = try memory.tensor([min(labels.count, Self.headChunk), head.rows])
    var losses = [Double](repeating: 0, count: labels.count)
    for start in stride(from: 0, to: labels.count, by: Self.headChunk) {
      let rows = min(Self.headChunk, labels.count - start)
      withExtendedLifetime((x, head, logits, dx)) {
        let input = x.tensor.pointer + start * n
        precision(with: head).multiply(
          threads.handle, rows, head.rows, n, input, n, 1, head.start, head.type, 1, n, logits.pointer,
          head.rows,
          false)
        labels.withUnsafeBufferPointer { labels in
          losses.withUnsafeMutableBufferPointer { losses in
            guard let label = labels.baseAddress, let loss = losses.baseAddress else { return }
            nl_cross_entropy(
              threads.handle, rows, head.rows, logits.pointer, label + start, loss + start, needed)
          }
        }
      }
      try addGradients(of: logits, start..<start + rows, x, head, dx)
    }
    if let dx { try x.gradient?.add(dx, on: self) }
    return losses.reduce(0, +)
  }

  /// Adds what the gradients of some rows' logits come to, by the hidden states and by the head.
  func addGradients(
    of logits: Tensor, _ rows: Range<Int>, _ x: Variable, _ head: Matrix, _ dx: Tensor?
  ) throws(TensorError) {
    let n = head.columns
    if let dx {
      withExtendedLifetime((head, logits, dx)) {
        precision(with: head).multiply(
          threads.handle, rows.count, n, head.rows, logits.pointer, head.rows, 1, head.start, head.type, n, 1,
          dx.pointer + rows.lowerBound * n, n, false)
      }
    }
    try head.gradient?.addInto(on: self) { target, accumulate in
      withExtendedLifetime((x, logits, target)) {
        nl_matmul(
          threads.handle, head.rows, n, rows.count, logits.pointer, 1, head.rows,
          x.tensor.pointer + rows.lowerBound * n, NL_F32, n, 1, target.pointer, n, accumulate)
      }
    }
  }
}
