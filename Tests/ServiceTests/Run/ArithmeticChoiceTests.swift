import Kernels
import NestedLearning
import Tensors
import Testing

@testable import Service

/// The table of which arithmetic is fast where, and what a config with one or the other key comes to. The references are
/// written out.
@Suite struct ArithmeticChoiceTests {
  private func config(_ arithmetic: Arithmetic?, _ mixed: MixedPrecision = .off) -> NestedLearningConfig {
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    config.arithmetic = arithmetic
    config.mixedPrecision = mixed
    return config
  }

  @Test(arguments: [
    (NL_ISA_AMX, true, Arithmetic.f32Tiles, Arithmetic.bf16Tiles), (NL_ISA_AMX, false, .f32, .bf16Tiles),
    (NL_ISA_AVX512_BF16, true, .f32, .bf16Dot), (NL_ISA_AVX512, true, .f32, .bf16Dot),
    (NL_ISA_AVX2, true, .f32, .bf16Dot), (NL_ISA_BASELINE, false, .f32, .bf16Dot),
    (NL_ISA_NEON, true, .f32, .bf16Dot),
  ])
  func table(isa: nl_isa, isStoredInBF16: Bool, exact: Arithmetic, rounded: Arithmetic) {
    let choice = ArithmeticChoice(isa: isa, isStoredInBF16: isStoredInBF16)
    #expect(choice.resolved(config(.auto)).arithmetic == exact)
    #expect(choice.resolved(config(nil, .eitherBF16)).arithmetic == rounded)
    #expect(choice.resolved(config(nil)).arithmetic == .f32)
    #expect(choice.resolved(config(nil, .bf16Tiles)).arithmetic == .bf16Tiles)
    for arithmetic in Arithmetic.allCases where arithmetic != .auto {
      #expect(choice.resolved(config(arithmetic)).arithmetic == arithmetic)
    }
  }

  /// What is recorded reads back: both keys say the same, and resolving again changes nothing.
  @Test(arguments: Arithmetic.allCases) func whatIsRecordedReadsBack(arithmetic: Arithmetic) throws {
    let choice = ArithmeticChoice(isa: NL_ISA_AMX, isStoredInBF16: true)
    let resolved = choice.resolved(config(arithmetic))
    let again = try NestedLearningConfig(text: resolved.json().text, file: "config.json", format: .json)
    #expect(again.arithmetic == resolved.arithmetic && again.arithmetic != .auto)
    let elsewhere = ArithmeticChoice(isa: NL_ISA_AVX2, isStoredInBF16: true)
    #expect(elsewhere.resolved(again).json() == resolved.json())
  }

  /// A run from before the key goes on in what it was begun in: true was bf16 pair by pair everywhere.
  @Test func oldRuns() {
    #expect(ArithmeticChoice.ofOldRun(config(nil)).arithmetic == .f32)
    #expect(ArithmeticChoice.ofOldRun(config(nil, .eitherBF16)).arithmetic == .bf16Dot)
    #expect(ArithmeticChoice.ofOldRun(config(nil, .bf16Tiles)).arithmetic == .bf16Tiles)
  }

  /// On another machine, a config that leaves it open takes what the run has; one that does not is left to be compared.
  @Test func openConfigsTakeTheRunsOwn() {
    let recorded = config(.f32Tiles)
    #expect(config(.auto).withArithmetic(of: recorded).arithmetic == .f32Tiles)
    #expect(config(.f32).withArithmetic(of: recorded).arithmetic == .f32)
    #expect(config(nil).withArithmetic(of: recorded).arithmetic == nil)
    #expect(config(nil, .eitherBF16).withArithmetic(of: config(.bf16Dot)).arithmetic == .bf16Dot)
    #expect(config(.auto).withArithmetic(of: config(.bf16Dot)).arithmetic == .auto)
  }

  /// Names of arithmetic and of the kernels' precisions go together one by one.
  @Test func precisions() {
    for precision in Precision.allCases { #expect(precision.arithmetic.precision == precision) }
    #expect(Set(Precision.allCases.map(\.arithmetic)).count == Arithmetic.allCases.count - 1)
  }
}
