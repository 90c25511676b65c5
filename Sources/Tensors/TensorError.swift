/// What can go wrong below the model: the machine has too little of something, or nobody wants the outcome any more.
public enum TensorError: Error, Equatable, CustomStringConvertible {
  /// A buffer of `requested` bytes was asked for while `inUse` bytes were held.
  case outOfMemory(requested: Int, inUse: Int)
  case threads(requested: Int)
  /// The computation was ended by its `ComputationWatch`.
  case cancelled

  public var description: String {
    switch self {
    case .outOfMemory(let requested, let inUse):
      "out of memory: \(requested) bytes were needed while \(inUse) bytes were in use; "
        + "a smaller batch_size or max_seq_length needs less"
    case .threads(let requested):
      "cannot start \(requested) compute threads; give a number from 1 to 1024 that this machine grants"
    case .cancelled: "the computation was ended before it was done"
    }
  }
}
