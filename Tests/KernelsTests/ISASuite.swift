import Kernels
import Testing

/// Tests that select an instruction set. The selection belongs to the process, so all of them nest in this suite (by
/// extension) and run one after the other.
@Suite(.serialized) struct ISASuite {
  /// What this CPU can run.
  static let available: [nl_isa] = [
    NL_ISA_BASELINE, NL_ISA_AVX2, NL_ISA_AVX512, NL_ISA_AVX512_BF16, NL_ISA_AMX, NL_ISA_NEON,
  ].filter {
    let before = nl_isa_current()
    defer { _ = nl_isa_select(before) }
    return nl_isa_select($0)
  }

  /// Calls `body` once in each instruction set that this CPU has, and then selects the one before again.
  static func inEach(_ body: (nl_isa) throws -> Void) rethrows {
    let before = nl_isa_current()
    defer { _ = nl_isa_select(before) }
    for isa in available where nl_isa_select(isa) { try body(isa) }
  }
}
