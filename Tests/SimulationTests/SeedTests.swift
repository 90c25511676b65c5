import Foundation
import Simulation
import Testing

/// Whatever happens, a run ends once faults have stopped, with the state that a plain loop over the steps comes to.
@Suite struct SeedTests {
  private static func environment(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap(UInt64.init)
  }

  /// 1,000 seeds, or as many as NL_SIMULATION_SEEDS says, from NL_SIMULATION_FIRST: the same in every run, so that a change
  /// is judged by itself. `nl-tool simulate --seeds` looks for what nobody knows yet; a seed that fails belongs into
  /// `FoundBug.all`.
  @Test func freshSeeds() {
    let count = max(1, Self.environment("NL_SIMULATION_SEEDS") ?? 1000)
    let first = Self.environment("NL_SIMULATION_FIRST") ?? 2_200_001
    let clock = ContinuousClock()
    let started = clock.now
    let summary = SeedRange(first...(first + count - 1), threads: 2).run { print($0.text) }
    print("seeds from \(first): \(summary.text(seconds: (clock.now - started) / .seconds(1)))")
    #expect(summary.failures.map(\.seed) == [])
    // A simulation in which nothing goes wrong shows nothing. The rarest kind comes about 40 times in 1,000 seeds.
    // (But a wrong chain, which row 13 has more of.)
    for kind in FaultKind.allCases where kind != .wrongChain {
      #expect(summary.faults[kind, default: 0] > Int(count / 200), "\(kind.rawValue)")
    }
  }

  /// Seeds that have found something.
  @Test(arguments: FoundBug.all) func foundBug(_ bug: FoundBug) {
    #expect(SeedRange.run(seed: bug.seed, withFiles: bug.withFiles).problems == [])
  }

  /// The same seed goes the same way, whatever the number of threads, with real files too.
  @Test(arguments: [false, true]) func sameSeedSameRun(withFiles: Bool) {
    let last: UInt64 = withFiles ? 12 : 40
    let once = SeedRange(1...last, threads: 1, withFiles: withFiles).run()
    let again = SeedRange(1...last, threads: 2, withFiles: withFiles).run()
    #expect(once.fingerprint == again.fingerprint && once.messages == again.messages)
    #expect(once.faults == again.faults && once.consequences == again.consequences)
    #expect(once.fingerprint != SeedRange(2...last + 1, withFiles: withFiles).run().fingerprint)
  }
}
