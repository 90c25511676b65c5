import NestedLearning
import WireProtocol

/// Several runs of one coordinator.
extension Scenario {
  /// One or two more runs, at work beside the first or after it, of which one may rest, and one may fail.
  mutating func addRuns(using random: inout SplitMix64) throws {
    for number in 2...Int.random(in: 2...3, using: &random) {
      let seed = SplitMix64.mix(seed &+ UInt64(number))
      var other = try ToyProblem.random(seed: seed, isLong: false, using: &random)
      other.config.verifyFraction = problem.config.verifyFraction
      if problem.config.checkpointEvery >= 1000 { other.config.checkpointEvery = 1000 }
      if hasStore {
        other.config.saveBestOnly = random.chance(0.2)
        other.config.keepLastNCheckpoints = Int.random(in: 1...3, using: &random)
      }
      others.append(other)
    }
    parallelRuns = random.chance(0.7) ? Int.random(in: 2...3, using: &random) : 1
    if random.chance(0.7) { incidents.append(.runPaused) }
    if random.chance(0.5) { engineFailures = random.logarithmic(0.01...0.1) }
    if random.chance(0.3) { addWorkersOfOneRun(using: &random) }
  }

  /// Workers that have the model of one run and no other, beside those that take any.
  private mutating func addWorkersOfOneRun(using random: inout SplitMix64) {
    for _ in 0..<Int.random(in: 1...2, using: &random) {
      let number = Int.random(in: 1...problems.count, using: &random)
      workers.append(WorkerPlan(ownModel: RunNumber(UInt32(number))))
    }
  }
}
