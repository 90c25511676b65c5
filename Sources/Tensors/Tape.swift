/// Reverse-mode differentiation: operations note down how to send a gradient back, and `backward` plays the
/// notes in reverse order.
///
/// An operation none of whose inputs needs a gradient notes nothing, so the backward pass ends below the lowest
/// layer that needs one, and a forward pass alone keeps nothing. Each note holds what its backward pass needs
/// and lets go of it as soon as it has been played. The order of all additions is the reverse of the order of
/// the operations: always the same.
public final class Tape {
  public let threads: ThreadPool
  public let memory: MemoryPool
  /// That of products with the model's own matrices.
  public let precision: Precision
  /// Who watches the present computation, if anybody.
  public var watch: ComputationWatch?
  private var notes: [(Tape) throws(TensorError) -> Void] = []

  public init(threads: ThreadPool, memory: MemoryPool, precision: Precision = .f32) {
    self.threads = threads
    self.memory = memory
    self.precision = precision
  }

  /// That of products with one of them.
  func precision(with matrix: Matrix) -> Precision {
    if matrix.isInF32 { return .f32 }
    return precision == .f32Tiles && !matrix.isFrozen ? .f32 : precision
  }

  /// Number of operations that wait for the backward pass.
  public var count: Int { notes.count }

  func record(_ backward: @escaping (Tape) throws(TensorError) -> Void) {
    notes.append(backward)
  }

  /// Shows the gradient by a variable as soon as it is whole, before the backward pass goes on below the variable; never,
  /// if nothing asks for it. To be called before the variable is used.
  public func whenGradient(of variable: Variable, isKnown look: @escaping (Tensor) -> Void) {
    guard let gradient = variable.gradient else { return }
    record { _ in if let tensor = gradient.tensor { look(tensor) } }
  }

  /// The output of an operation: it needs a gradient if one of the inputs does.
  func output(_ tensor: Tensor, needsGradient: Bool) -> Variable {
    Variable(tensor, gradient: needsGradient ? Gradient(shape: tensor.shape) : nil)
  }

  /// Sends `seed` (the gradient of some number by `variable`) back to everything that needs a gradient.
  public func backward(from variable: Variable, seed: Tensor) throws(TensorError) {
    precondition(seed.shape == variable.shape, "a gradient of shape \(seed.shape) for \(variable.shape)")
    try variable.gradient?.add(seed, on: self)
    try backward()
  }

  /// `body` of x, of whose operations only x is kept: the backward pass computes it once more, to the same bits.
  ///
  /// (Gradient checkpointing, Chen et al. 2016, "Training deep nets with sublinear memory cost".) `body` must give the
  /// same for the same x, and must use no other variable that was computed.
  public func recomputed(
    _ x: Variable, _ body: @escaping (Variable) throws(TensorError) -> Variable
  ) throws(TensorError) -> Variable {
    let mark = notes.count
    let y = try body(x)
    guard notes.count > mark else { return y }
    notes.removeLast(notes.count - mark)
    let output = output(y.tensor, needsGradient: true)
    record { [gradient = output.gradient] tape throws(TensorError) in
      guard let dy = gradient?.take() else { return }
      let mark = tape.notes.count
      try body(x).gradient?.add(dy, on: tape)
      try tape.backward(downTo: mark)
    }
    return output
  }

  /// Plays the notes back to front, releasing each. For operations that bring their own gradient, as the loss.
  public func backward() throws(TensorError) { try backward(downTo: 0) }

  private func backward(downTo mark: Int) throws(TensorError) {
    while notes.count > mark, let play = notes.popLast() {
      try watch?.step()
      try play(self)
    }
  }

  /// Forgets everything that was noted, after an error.
  public func clear() { notes.removeAll() }
}
