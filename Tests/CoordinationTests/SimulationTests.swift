import Foundation
import Testing

/// Whatever happens, a run finishes once faults stop, and every (micro-batch, tier) has been counted once, with the
/// loss of the fixed tree.
@Suite struct SimulationTests {
  /// Fresh seeds at every run, 200 or as many as NL_SIMULATION_SEEDS says; one that fails is printed, and belongs
  /// below.
  @Test func freshSeeds() {
    var random = SystemRandomNumberGenerator()
    var faults: [String: Int] = [:]
    var handOuts = 0
    let count = ProcessInfo.processInfo.environment["NL_SIMULATION_SEEDS"].flatMap(Int.init) ?? 200
    for _ in 0..<count {
      let seed = random.next()
      var simulation = Simulation(seed: seed)
      let outcome = simulation.run()
      #expect(outcome.problems == [], "seed \(seed)")
      #expect(outcome.finished && outcome.steps.count == simulation.lastStep, "seed \(seed)")
      faults.merge(outcome.faults) { $0 + $1 }
      handOuts += outcome.handOuts
    }
    // A simulation in which nothing goes wrong shows nothing.
    for kind in ["kill", "cut", "freeze", "stall", "terminate", "noticed", "duplicate", "slow", "error"] {
      #expect(faults[kind, default: 0] > 10, "\(kind): \(faults[kind, default: 0])")
    }
    print("\(count) simulated runs: \(handOuts) hand-outs, faults \(faults.sorted { $0.key < $1.key })")
  }

  /// Seeds that once found something, and some that are always run.
  @Test(arguments: Array(1...50) as [UInt64]) func keptSeeds(seed: UInt64) {
    var simulation = Simulation(seed: seed)
    let outcome = simulation.run()
    #expect(outcome.problems == [])
    #expect(outcome.finished && outcome.steps.count == simulation.lastStep)
  }

  /// The same seed gives the same run.
  @Test func sameSeedSameRun() {
    var first = Simulation(seed: 7)
    var second = Simulation(seed: 7)
    #expect(first.run().steps == second.run().steps)
    #expect(first.now == second.now && first.recorded == second.recorded)
  }
}
