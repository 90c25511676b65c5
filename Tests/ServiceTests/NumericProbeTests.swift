import Kernels
import Tensors
import Testing

@testable import Service

/// The computation that every worker is asked for when it joins.
@Suite(.serialized) struct NumericProbeTests {
  /// The same bits with any number of threads, and others for other numbers: it depends on what it computes.
  @Test func threadsAndSeeds() throws {
    let one = try NumericProbe.sha256(seed: 42, threads: ThreadPool(threads: 1))
    #expect(try NumericProbe.sha256(seed: 42, threads: ThreadPool(threads: 3)) == one)
    #expect(try NumericProbe.sha256(seed: 43, threads: ThreadPool(threads: 1)) != one)
  }
}
