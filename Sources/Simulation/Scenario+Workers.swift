/// Workers that are of less use than others, or of none.
extension Scenario {
  /// Wrong results that hardly anybody verifies, and a coordinator that is killed again and again between snapshots: what
  /// is computed again comes out otherwise.
  mutating func addUnverifiedLiars(using random: inout SplitMix64) {
    problem.config.verifyFraction = [0, 0, 0.1].randomElement(using: &random) ?? 0
    problem.config.numSteps = max(problem.config.numSteps, 10)
    problem.config.checkpointEvery = 1000
    snapshotSeconds = 1
    while workers.count(where: { !$0.isStranger && !$0.computesOtherwise && $0.lies == 0 }) < 3 {
      workers.append(WorkerPlan())
    }
    for _ in 0..<Int.random(in: 1...2, using: &random) {
      workers.append(WorkerPlan(lies: random.logarithmic(0.1...1)))
    }
    incidents = [.coordinatorKilled]
    incidentSeconds = random.logarithmic(0.5...3)
    faultsUntil = max(faultsUntil, 15)
    restartSeconds = 0.2
  }

  /// Two machines that compute everything wrongly, at shards of the same steps as three that do not: what is computed again
  /// after a kill is not what several have committed, and what the others have.
  mutating func addLyingPair(using random: inout SplitMix64) {
    // A machine that never computes anything cannot help to tell who is right.
    guard !hasLiars, !workers.contains(where: \.neverHeals) else { return }
    addUnverifiedLiars(using: &random)
    problem.config.verifyFraction = 0
    problem.config.gradientAccumulationSteps = max(problem.config.gradientAccumulationSteps, 6)
    while workers.count(where: { $0.lies > 0 }) < 2 { workers.append(WorkerPlan(lies: 1)) }
    for place in workers.indices where workers[place].lies > 0 { workers[place].lies = 1 }
  }

  /// Two hundred workers, most of which come in the same moment.
  mutating func addCrowd(using random: inout SplitMix64) {
    let starts = Double.random(in: 0...faultsUntil / 2, using: &random)
    while workers.count < 200 { workers.append(WorkerPlan(starts: random.chance(0.8) ? starts : 0)) }
  }

  /// Machines that take shards and do not compute them, beside others that do.
  mutating func addUselessMachines(using random: inout SplitMix64) {
    if random.chance(0.15) {
      workers.append(WorkerPlan(isLocal: random.chance(0.3), fails: random.chance(0.7) ? 1 : 0.5))
    }
    if random.chance(0.1) { workers.append(WorkerPlan(quits: random.chance(0.7) ? 1 : 0.5)) }
  }

  /// A machine that never computes anything, whatever is done, beside others that are to go on without it. Some results are
  /// compared, as far as there is somebody to compare with.
  mutating func addHopelessMachine(using random: inout SplitMix64) {
    // Where all are compared, or some lie, the run may have to wait for this one.
    guard !hasLiars, problem.config.verifyFraction < 1 else { return }
    workers.append(WorkerPlan(isLocal: random.chance(0.3), fails: 1, neverHeals: true))
    let fractions: [Double] = [0.9, 0.5, 0.1]
    problem.config.verifyFraction = fractions.randomElement(using: &random) ?? 0.5
    for place in others.indices { others[place].config.verifyFraction = problem.config.verifyFraction }
  }

  /// Workers with a valid key that say what they like, beside others that do not.
  mutating func addHostileWorkers(using random: inout SplitMix64) {
    for _ in 0..<Int.random(in: 1...2, using: &random) {
      workers.append(WorkerPlan(isLocal: random.chance(0.2), alters: random.logarithmic(0.05...0.7)))
    }
  }

  var hasLiars: Bool { workers.contains { $0.lies > 0 || $0.alters > 0 } }
  var hasHostileHellos: Bool { workers.contains { $0.altersHello > 0 } }

  /// Results are compared, and some workers have wrong ones.
  mutating func addLiars(using random: inout SplitMix64) {
    let fractions: [Double] = [1, 1, 0.6, 0.2]
    let fraction: Double = fractions.randomElement(using: &random) ?? 1
    problem.config.verifyFraction = fraction
    // Two have to agree, also when one of them is away.
    while workers.count(where: { !$0.isStranger && !$0.computesOtherwise }) < 3 {
      workers.append(WorkerPlan())
    }
    for _ in 0..<Int.random(in: 0...2, using: &random) {
      workers.append(
        WorkerPlan(isLocal: random.chance(0.3), lies: random.logarithmic(0.02...1)))
    }
  }
}
