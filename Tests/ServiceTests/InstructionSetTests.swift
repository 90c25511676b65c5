import Kernels
import Testing

@testable import Service

/// A variable that would be ignored is an error that names what there is.
@Suite struct InstructionSetTests {
  @Test(arguments: ["avx1024", "AVX2", " avx2"]) func unknownNames(name: String) {
    let error = #expect(throws: ServiceError.self) {
      try InstructionSet.check(environment: ["NL_ISA": name])
    }
    let best = String(cString: nl_isa_name(nl_isa_best()))
    #expect(error?.description.contains(name) == true && error?.description.contains(best) == true)
  }

  @Test func setsOfOtherCPUs() {
    #if arch(x86_64)
      let other = "neon"
    #else
      let other = "avx2"
    #endif
    let error = #expect(throws: ServiceError.self) {
      try InstructionSet.check(environment: ["NL_ISA": other])
    }
    #expect(error?.description.contains("does not have") == true)
  }

  @Test func whatThereIs() throws {
    try InstructionSet.check(environment: [:])
    try InstructionSet.check(environment: ["NL_ISA": ""])
    try InstructionSet.check(environment: ["NL_ISA": String(cString: nl_isa_name(nl_isa_best()))])
  }
}
