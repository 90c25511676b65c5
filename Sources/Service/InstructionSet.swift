import Kernels

/// The instruction sets of the kernels.
public enum InstructionSet {
  /// All there are, by the names that the variable NL_ISA takes, the best last.
  private static let all = [
    NL_ISA_BASELINE, NL_ISA_NEON, NL_ISA_AVX2, NL_ISA_AVX512, NL_ISA_AVX512_BF16, NL_ISA_AMX,
  ]

  private static func name(_ isa: nl_isa) -> String { String(cString: nl_isa_name(isa)) }

  /// - Throws: `ServiceError` if NL_ISA names one that is not known, or that this CPU lacks: it would compute in another.
  public static func check(environment: [String: String]) throws {
    guard let wanted = environment["NL_ISA"], !wanted.isEmpty else { return }
    let here = all.filter { nl_isa_has($0) }.map(name)
    guard !here.contains(wanted) else { return }
    let isKnown = all.contains { name($0) == wanted }
    throw ServiceError(
      isKnown
        ? "NL_ISA is \(wanted), which this machine does not have"
        : "NL_ISA is \(wanted), which is no instruction set",
      remedy: "there are \(here.joined(separator: ", ")); without the variable the best is taken")
  }
}
