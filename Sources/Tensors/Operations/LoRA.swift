/// The low-rank adapter of one projection: y += s·(dropout(x)·aᵀ)·b with a [r, in], b [r, out]
/// (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models").
public struct LoRA {
  public let a: Variable
  public let b: Variable
  public let scale: Float
  public let dropout: Dropout?

  public init(a: Variable, b: Variable, scale: Float, dropout: Dropout? = nil) {
    precondition(a.shape.count == 2 && b.shape.count == 2 && a.shape[0] == b.shape[0])
    self.a = a
    self.b = b
    self.scale = scale
    self.dropout = dropout
  }

  var rank: Int { a.shape[0] }
  var needsGradient: Bool { a.needsGradient || b.needsGradient }

  /// Calls `body` with dropout(x), which is x itself without dropout.
  func withDropout(_ x: Tensor, on tape: Tape, _ body: (Tensor) -> Void) throws(TensorError) {
    guard let dropout else { return body(x) }
    let dropped = try tape.memory.tensor(x.shape)
    Kernel.dropout(tape.threads, x, dropout, into: dropped)
    body(dropped)
  }

  /// Adds its part to y [T, out].
  ///
  /// - Returns: h = s·dropout(x)·aᵀ, [T, r].
  func add(to y: Tensor, x: Tensor, on tape: Tape) throws(TensorError) -> Tensor {
    let hidden = try tape.memory.tensor([x.rows, rank])
    try withDropout(x, on: tape) { dropped in
      Kernel.product(tape.threads, dropped, timesTransposed: Matrix(a), into: hidden)
    }
    Kernel.scale(tape.threads, hidden, by: scale)
    Kernel.product(tape.threads, hidden, times: Matrix(b), into: y, accumulate: true)
    return hidden
  }

  /// e = s·dy·bᵀ, [T, r].
  func scaledGradient(_ tape: Tape, dy: Tensor) throws(TensorError) -> Tensor {
    let e = try tape.memory.tensor([dy.rows, rank])
    Kernel.product(tape.threads, dy, timesTransposed: Matrix(b), into: e)
    Kernel.scale(tape.threads, e, by: scale)
    return e
  }

  /// dx += dropout(e·a)
  func sendBack(_ tape: Tape, e: Tensor, into dx: Gradient) throws(TensorError) {
    guard let dropout else {
      return try dx.addInto(on: tape) { target, accumulate in
        Kernel.product(tape.threads, e, times: Matrix(a), into: target, accumulate: accumulate)
      }
    }
    // The mask belongs to this path alone, so it is applied before the sum.
    let path = try tape.memory.tensor([e.rows, a.shape[1]])
    Kernel.product(tape.threads, e, times: Matrix(a), into: path)
    Kernel.dropout(tape.threads, path, dropout, into: path)
    try dx.add(path, on: tape)
  }

  /// db = hᵀ·dy, and da = eᵀ·dropout(x) if both are given.
  func backwardToParameters(
    _ tape: Tape, x: Tensor?, hidden: Tensor, dy: Tensor, e: Tensor?
  ) throws(TensorError) {
    try b.gradient?.addInto(on: tape) { target, accumulate in
      Kernel.product(tape.threads, transposed: hidden, times: dy, into: target, accumulate: accumulate)
    }
    guard let x, let e else { return }
    try a.gradient?.addInto(on: tape) { (target, accumulate) throws(TensorError) in
      try withDropout(x, on: tape) { dropped in
        Kernel.product(tape.threads, transposed: e, times: dropped, into: target, accumulate: accumulate)
      }
    }
  }
}

/// Inverted dropout whose mask is a function of (key, site, row, position, channel) and of nothing else: not of
/// the packing, the threads or the order of computing.
public struct Dropout {
  public let probability: Float
  /// Stands for the seed, the step and the micro-batch.
  public let key: UInt64
  /// Which module it is.
  public let site: UInt32
  public let tokens: TokenPlaces

  public init(probability: Float, key: UInt64, site: UInt32, tokens: TokenPlaces) {
    self.probability = probability
    self.key = key
    self.site = site
    self.tokens = tokens
  }
}

/// For each packed token its row in the micro-batch and its position in that row.
public struct TokenPlaces: Sendable {
  public let rows: [Int32]
  public let positions: [Int32]

  public init(rows: [Int32], positions: [Int32]) {
    precondition(rows.count == positions.count)
    self.rows = rows
    self.positions = positions
  }
}
