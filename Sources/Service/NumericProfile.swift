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

  /// What a run asks of its workers beyond gradients of the cross entropy, so that a program which would not read that is
  /// turned away. The number is raised when a change of that arithmetic changes a bit.
  public enum Part: String, Sendable, CaseIterable {
    /// Gradients of an objective of its own.
    case objective = "+objective/1"
    /// Something else than gradients, before training.
    case measure = "+measure/1"
    /// Evaluations at smaller scales of the adapter.
    case scale = "+scale/1"
    /// Heads of tasks.
    case tasks = "+tasks/1"
    /// Evaluations that count the tokens that are right. A program that knows these knows scales, too.
    case accuracy = "+accuracy/1"
    /// Rows have domains that something depends on.
    case domains = "+domains/1"
  }

  /// The name of a run's profile, as `f32/1+objective/1`.
  public static func name(of precision: Precision, _ parts: Set<Part>) -> String {
    name(of: precision) + Part.allCases.filter(parts.contains).map(\.rawValue).joined()
  }

  /// Those that this program can compute in, the usual one first.
  public static var all: [String] {
    sets.flatMap { parts in Precision.allCases.map { name(of: $0, parts) } }
  }

  /// What runs ask for together.
  private static let sets: [Set<Part>] =
    withoutDomains + withoutDomains.map { $0.union([.domains]) } + [[.measure]]

  private static let withoutDomains: [Set<Part>] = [
    [], [.objective], [.scale], [.objective, .scale], [.objective, .tasks], [.accuracy],
    [.objective, .accuracy],
  ]

  /// - Returns: nil if this program does not have the profile.
  public static func precision(named name: String) -> Precision? {
    Precision.allCases.first { precision in sets.contains { self.name(of: precision, $0) == name } }
  }
}

/// What the programs say of themselves.
public enum Program {
  public static let version = "nested-learning 0.1.0"
}
