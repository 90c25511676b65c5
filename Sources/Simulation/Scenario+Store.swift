/// Runs with real files.
extension Scenario {
  /// The real ledger, snapshots and checkpoints, in one seed of ten, and what breaks them.
  mutating func addStore(using random: inout SplitMix64) {
    hasStore = true
    killsAtPersist = max(killsAtPersist, random.chance(0.6) ? random.logarithmic(0.01...0.1) : 0)
    faultsAtPersist = random.chance(0.6) ? random.logarithmic(0.01...0.2) : 0
    if random.chance(0.5) { incidents.append(.diskFault) }
    if random.chance(0.3) { incidents.append(.coordinatorKilled) }
    var damage = SplitMix64(seed: SplitMix64.mix(seed &+ 0xDA_3A6E))
    if damage.chance(0.8) { rot = damage.logarithmic(0.3...1) }
    if damage.chance(0.5) { readErrors = damage.logarithmic(0.1...0.5) }
    problem.config.saveBestOnly = random.chance(0.2)
    problem.config.keepLastNCheckpoints = Int.random(in: 1...3, using: &random)
  }
}
