import Kernels
import Tensors
import Testing

@testable import Service

/// The computation that every worker is asked for when it joins.
@Suite(.serialized) struct NumericProbeTests {
  private func probe(_ seed: UInt64, threads: Int, _ precision: Precision) throws -> String {
    try NumericProbe.sha256(seed: seed, threads: ThreadPool(threads: threads), precision: precision)
  }

  /// The same bits with any number of threads, and others for other numbers: it depends on what it computes.
  @Test(arguments: Precision.allCases) func threadsAndSeeds(precision: Precision) throws {
    let one = try probe(42, threads: 1, precision)
    #expect(try probe(42, threads: 3, precision) == one)
    #expect(try probe(43, threads: 1, precision) != one)
  }

  /// Every precision has a name of its own, by which a worker finds it again, and other bits.
  @Test func profiles() throws {
    let names = NumericProfile.all
    // What a run asks for besides makes another name: programs that do not know it are not to compute for such a run.
    #expect(Set(names).count == 15 * Precision.allCases.count && names.first == "f32/1")
    for precision in Precision.allCases {
      for parts: Set<NumericProfile.Part> in [
        [], [.objective], [.measure], [.scale], [.objective, .scale], [.objective, .tasks], [.accuracy],
        [.objective, .accuracy], [.domains], [.objective, .domains], [.objective, .tasks, .domains],
      ] {
        let name = NumericProfile.name(of: precision, parts)
        #expect(names.contains(name) && NumericProfile.precision(named: name) == precision)
      }
    }
    #expect(NumericProfile.precision(named: "f32/0") == nil && NumericProfile.precision(named: "f32") == nil)
    let digests = try Precision.allCases.map { try probe(42, threads: 1, $0) }
    #expect(Set(digests).count == digests.count)
  }
}
