import Kernels

/// A tensor that takes part in the computation, and the gradient that it is to receive if it needs one.
public struct Variable {
  public var tensor: Tensor
  public let gradient: Gradient?

  /// A constant, or with `gradient` something to be differentiated by.
  public init(_ tensor: Tensor, gradient: Gradient? = nil) {
    self.tensor = tensor
    self.gradient = gradient
  }

  public var shape: [Int] { tensor.shape }
  public var needsGradient: Bool { gradient != nil }

  /// The same elements and the same gradient under another shape.
  public func reshaped(_ shape: [Int]) -> Variable { Variable(tensor.reshaped(shape), gradient: gradient) }
}

/// The gradient of one variable, summed up as the tape is run backwards. The first contribution makes the
/// buffer, later ones are added where it stands.
public final class Gradient {
  public let shape: [Int]
  private var sum: Tensor?

  public init(shape: [Int]) { self.shape = shape }

  /// What has been summed up so far; nil if nothing has come.
  public var tensor: Tensor? { sum }

  /// Hands over the sum and leaves nothing behind.
  func take() -> Tensor? {
    defer { sum = nil }
    return sum
  }

  /// Adds a tensor that its giver will not write to any more; the first one is taken over without a copy.
  /// It may have another shape with as many elements.
  func add(_ tensor: Tensor, on tape: Tape) throws(TensorError) {
    guard sum != nil else {
      sum = tensor.reshaped(shape)
      return
    }
    try addInto(on: tape) { target, _ in
      Kernel.add(tape.threads, target, tensor, into: target)
    }
  }

  /// Lets `body` write the first contribution (second argument false) or add to what is there (true).
  func addInto(
    on tape: Tape, _ body: (_ target: Tensor, _ accumulate: Bool) throws(TensorError) -> Void
  ) throws(TensorError) {
    guard var current = take() else {
      let fresh = try tape.memory.tensor(shape)
      try body(fresh, false)
      sum = fresh
      return
    }
    if !current.isUnshared() {
      // A residual connection gives one buffer to both of its sides.
      current = try current.copy(in: tape.memory)
    }
    try body(current, true)
    sum = current
  }

  /// For kernels that can only add: `body` adds to what is there, or to zeros.
  func addToZeros(
    on tape: Tape, _ body: (_ target: Tensor) throws(TensorError) -> Void
  ) throws(TensorError) {
    try addInto(on: tape) { (target, accumulate) throws(TensorError) in
      if !accumulate { target.withMutableValues { $0.update(repeating: 0) } }
      try body(target)
    }
  }
}

extension Tensor {
  fileprivate func copy(in memory: MemoryPool) throws(TensorError) -> Tensor {
    let copy = try memory.tensor(shape)
    withValues { values in copy.withMutableValues { _ = $0.update(from: values) } }
    return copy
  }
}

/// A matrix of the model in the precision in which it is stored, [rows, columns]: mapped from a file and frozen,
/// or a trained tensor.
public struct Matrix {
  public let rows: Int
  public let columns: Int
  /// Not nil if the matrix is trained and its gradient is wanted.
  public let gradient: Gradient?
  let start: UnsafeRawPointer
  let type: nl_dtype
  let owner: AnyObject
  /// Whether training leaves it as it is; what is trained is multiplied in f32 where `Precision.f32Tiles` is asked for.
  let isFrozen: Bool
  /// Whether it is multiplied in f32 whatever the precision is.
  let isInF32: Bool

  /// How the elements of a matrix are stored.
  public enum StoredType: Sendable {
    case f32, bf16, f16

    /// What the kernels call it.
    package var kernelType: nl_dtype {
      switch self {
      case .f32: NL_F32
      case .bf16: NL_BF16
      case .f16: NL_F16
      }
    }
  }

  /// A frozen matrix at `start`, which must be aligned to its elements; `owner` keeps the memory valid.
  public init(
    frozen start: UnsafeRawPointer, type: StoredType, rows: Int, columns: Int, owner: AnyObject
  ) {
    self.start = start
    self.type = type.kernelType
    self.rows = rows
    self.columns = columns
    self.owner = owner
    gradient = nil
    isFrozen = true
    isInF32 = false
  }

  /// A matrix that is a tensor of shape [rows, columns].
  public init(_ variable: Variable, isFrozen: Bool = false, inF32: Bool = false) {
    precondition(variable.shape.count == 2, "a matrix has two dimensions, not \(variable.shape)")
    start = UnsafeRawPointer(variable.tensor.pointer)
    type = NL_F32
    rows = variable.shape[0]
    columns = variable.shape[1]
    owner = variable.tensor.storage
    gradient = variable.gradient
    self.isFrozen = isFrozen
    isInF32 = inF32
  }
}
