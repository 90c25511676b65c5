/// What fixes the bits of a gradient: the revision of the kernels, and their precision. Not the CPU: every ISA path
/// of a kernel gives the same bits.
public enum NumericProfile {
  /// Raised when a change of the kernels changes a bit of any gradient or loss.
  static let kernelRevision = 1

  public static let current = "f32/\(kernelRevision)"
}

/// What the programs say of themselves.
public enum Program {
  public static let version = "nested-learning 0.1.0"
}
