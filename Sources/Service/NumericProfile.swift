import Tensors

/// What fixes the bits of a gradient: the precision of the kernels, and their revision. Not the CPU: every ISA path
/// of a kernel gives the same bits.
public enum NumericProfile {
  /// Raised when a change of the kernels changes a bit of any gradient or loss in that precision.
  private static func revision(_ precision: Precision) -> Int {
    switch precision {
    case .f32, .bf16Dot, .bf16Tiles, .f32Tiles: 1
    }
  }

  /// The name of a precision's profile, as `f32/1`.
  public static func name(of precision: Precision) -> String {
    "\(precision.rawValue)/\(revision(precision))"
  }

  /// Of a run whose gradients are of more than the cross entropy of every trained token: raised when a change of that
  /// arithmetic changes a bit.
  private static let objectiveSuffix = "+objective/1"

  /// The name of a run's profile, as `f32/1+objective/1`.
  public static func name(of precision: Precision, hasObjective: Bool) -> String {
    name(of: precision) + (hasObjective ? objectiveSuffix : "")
  }

  /// Those that this program can compute in, the usual one first.
  public static var all: [String] {
    Precision.allCases.map { name(of: $0) } + Precision.allCases.map { name(of: $0, hasObjective: true) }
  }

  /// - Returns: nil if this program does not have the profile.
  public static func precision(named name: String) -> Precision? {
    Precision.allCases.first { [self.name(of: $0), self.name(of: $0, hasObjective: true)].contains(name) }
  }
}

/// What the programs say of themselves.
public enum Program {
  public static let version = "nested-learning 0.1.0"
}
