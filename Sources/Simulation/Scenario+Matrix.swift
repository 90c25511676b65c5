import NestedLearning

/// Scenarios for rows of the fault matrix.
extension Scenario {
  /// A run of windows without faults, on workers that the coordinator has not started, but for the last.
  static func plain(seed: UInt64, steps: Int, workers: Int, inactive: InactiveGradients = .mean) throws
    -> Scenario
  {
    var config = NestedLearningConfig(baseModelPath: "/model", trainDataPath: "/data", experimentName: "run")
    config.seed = 17
    config.tierUpdateFrequencies = [1, 2, 4]
    config.gradientAccumulationSteps = 3
    config.inactiveGradients = inactive
    config.flushEvery = 3
    config.learningRate = 0.01
    config.warmupSteps = 0
    config.numSteps = steps
    config.evalEvery = max(4, steps / 4)
    config.earlyStop = false
    config.checkpointEvery = max(5, steps / 4)
    let problem = try ToyProblem(tierSizes: [[3], [2, 1], [4]], config: config, evaluationCount: 2)
    var plans = Array(repeating: WorkerPlan(), count: workers)
    plans[workers - 1].isLocal = true
    return Scenario(seed: seed, problem: problem, workers: plans)
  }

  /// Very many steps, with some faults of all the common kinds all along: whether anything grows.
  public static func soak(seed: UInt64, steps: Int) throws -> Scenario {
    var scenario = try plain(seed: seed, steps: steps, workers: 3)
    scenario.computeSeconds = 0.01
    scenario.loadSeconds = 0.05
    scenario.incidents = [.workerKilled, .connectionCut, .workerLeaves, .workerFrozen, .coordinatorStalled]
    scenario.incidentSeconds = 60
    scenario.network = NetworkFaults(lost: 0.0005, duplicated: 0.0005, reordered: 0.0005, delayed: 0.0005)
    // The smallest tiers travel as they are, the others as transfers.
    scenario.transport.transfers.inlineBytes = 12
    scenario.faultsUntil = Double(steps) * 0.05
    return scenario
  }
}
