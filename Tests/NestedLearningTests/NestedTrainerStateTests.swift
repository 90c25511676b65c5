import JSON
import Testing

@testable import NestedLearning

/// Three layers of one parameter with 5 numbers each, in tiers at 1, 2, 4, and gradients made of the step number.
private struct Run {
  let config: NestedLearningConfig
  var state: NestedTrainerState
  static let shapes = ["p0": [5], "p1": [5, 1], "p2": [1, 5]]

  init(_ change: (inout NestedLearningConfig) -> Void) throws {
    config = NestedLearningTests.config {
      $0.learningRate = 0.01
      $0.warmupSteps = 3
      $0.gradientAccumulationSteps = 3
      $0.numSteps = 12
      change(&$0)
    }
    state = try NestedTrainerState(
      config: config, scheduler: Self.scheduler(config), parameters: Self.parameters, shapes: Self.shapes)
  }

  static let parameters: [String: [Float]] = [
    "p0": [1, 2, 3, 4, 5], "p1": [-1, 0.5, 0.25, 2, 1], "p2": [0.1, 0.2, 0.3, 0.4, 0.5],
  ]

  static func scheduler(_ config: NestedLearningConfig) throws -> ParameterTierScheduler {
    try ParameterTierScheduler(
      config: config,
      parameters: (0..<3).map { (layer: Int) in
        TrainableParameter(name: "p\(layer)", module: "m\(layer)", layer: layer, count: 5)
      })
  }

  static func tokens(_ step: Int) -> Int { 3 + step % 4 }

  /// The un-normalised gradient of one micro-batch.
  static func gradient(_ step: Int, _ g: Int, _ name: String) -> [Float] {
    (0..<5).map { i in
      Float((step * 31 + g * 17 + i * 7 + Int(name.utf8.last ?? 0) * 3) % 23 - 11) / 9
    }
  }

  func gradients(_ step: Int) throws -> StepGradients {
    let names = state.tiersDue(at: step).flatMap { state.scheduler.tiers[$0].parameters }
    let microBatches = (0..<config.gradientAccumulationSteps).map { g in
      Dictionary(uniqueKeysWithValues: names.map { ($0, Self.gradient(step, g, $0)) })
    }
    guard config.inactiveGradients != .discard else {
      return .sums(try ReductionTree.reduce(microBatches) { try ReductionTree.add($1, to: &$0) })
    }
    return .scaledMicroBatches(
      microBatches.map { $0.mapValues { GradientWindow.scaled($0, trainedTokens: Self.tokens(step)) } })
  }

  @discardableResult
  mutating func go(to last: Int) throws -> StepOutcome? {
    var outcome: StepOutcome?
    while state.step < last {
      let step = state.step + 1
      outcome = try state.apply(step: step, trainedTokens: Self.tokens(step), gradients: gradients(step))
    }
    return outcome
  }
}

@Suite struct NestedTrainerStateTests {
  /// The definition of a window in plain scalar arithmetic, under SGD at rate 1: each step adds its gradient times
  /// 1/tokens to the chain of its micro-batch; at the boundary ((c0 + c1) + c2), divided by f for the mean, goes
  /// off the parameter. Bits are compared. After 11 steps the last window of p2 stands open.
  @Test(arguments: [InactiveGradients.mean, .sum])
  func windowsAreChainsInStepOrder(inactive: InactiveGradients) throws {
    var run = try Run {
      $0.inactiveGradients = inactive
      $0.optimizer = .sgd
      $0.learningRate = 1
      $0.warmupSteps = 0
      $0.maxGradNorm = nil
    }
    try run.go(to: 11)
    for (name, frequency) in [("p0", 1), ("p1", 2), ("p2", 4)] {
      var expected = Run.parameters[name] ?? []
      for i in 0..<5 {
        var chains: [Float?] = [nil, nil, nil]
        for step in 1...11 {
          for g in 0..<3 {
            let scaled = Run.gradient(step, g, name)[i] * (Float(1) / Float(Run.tokens(step)))
            chains[g] = chains[g].map { $0 + scaled } ?? scaled
          }
          guard step % frequency == 0, let a = chains[0], let b = chains[1], let c = chains[2] else {
            continue
          }
          let sum = (a + b) + c
          expected[i] -= inactive == .mean ? sum / Float(frequency) : sum
          chains = [nil, nil, nil]
        }
      }
      #expect(run.state.parameters[name] == expected, "\(name)")
    }
  }

  /// Discard, in plain scalar arithmetic: ((g0 + g1) + g2)/tokens at the steps that are due, and nothing else.
  /// Windows that are kept elsewhere, and come as totals at the boundary. The reference is the state that keeps its own.
  @Test(arguments: [InactiveGradients.mean, .sum])
  func totalsGiveTheSameBitsAsItsOwnWindows(inactive: InactiveGradients) throws {
    var own = try Run { $0.inactiveGradients = inactive }
    var other = own
    var window = GradientWindow(microBatchCount: 3)
    for step in 1...9 {
      guard case .scaledMicroBatches(let microBatches) = try own.gradients(step) else { return }
      var totals = GradientSums()
      for tier in own.state.scheduler.tiers {
        for name in tier.parameters {
          let gradients = microBatches.map { $0[name] ?? [] }
          if tier.isActive(at: step) {
            totals[name] = try window.total(of: name, adding: gradients)
            window.close(name)
          } else {
            window.add(gradients, to: name)
          }
        }
      }
      try own.go(to: step)
      _ = try other.state.apply(
        step: step, trainedTokens: Run.tokens(step), gradients: .windowTotals(totals))
      #expect(other.state.parameters == own.state.parameters)
      // Before its chains are set, the state has none of an earlier step.
      #expect(other.state.window?.chains.allSatisfy(\.isEmpty) == true)
      try other.state.setWindow(window.chains)
      #expect(other.state.snapshot() == own.state.snapshot())
    }
    #expect(throws: TrainerError.gradients(name: "p1", "is missing")) {
      try other.state.setWindow([[:], [:], [:]])
    }
    #expect(throws: TrainerError.gradients(name: "p0", "is not due at this step")) {
      try other.state.setWindow(Array(repeating: Run.parameters, count: 3))
    }
  }

  @Test func discardedGradientsLeaveNoTrace() throws {
    var run = try Run {
      $0.optimizer = .sgd
      $0.learningRate = 1
      $0.warmupSteps = 0
      $0.maxGradNorm = nil
    }
    try run.go(to: 9)
    for (name, frequency) in [("p0", 1), ("p1", 2), ("p2", 4)] {
      var expected = Run.parameters[name] ?? []
      for i in 0..<5 {
        for step in 1...9 where step % frequency == 0 {
          let g = (0..<3).map { Run.gradient(step, $0, name)[i] }
          expected[i] -= ((g[0] + g[1]) + g[2]) / Float(Run.tokens(step))
        }
      }
      #expect(run.state.parameters[name] == expected, "\(name)")
    }
    #expect(run.state.optimizer.updateCounts == [9, 4, 2])
  }

  /// Step 4 with every tier active: rates by warm-up and scale, and norms of the gradients before clipping.
  @Test func outcomesSayWhatAStepDid() throws {
    var run = try Run {
      $0.warmupSteps = 8
      $0.tierLrScale = .inverseFrequency
      $0.maxGradNorm = 0.5
    }
    let outcome = try #require(try run.go(to: 4))
    #expect(outcome.activeTiers == [0, 1, 2])
    #expect(outcome.learningRate == 0.005)
    #expect(outcome.tierLearningRates == [0.005, 0.0025, 0.00125])
    let squares = ["p0", "p1", "p2"].map { name in
      (0..<5).reduce(0.0) { sum, i in
        let gradient =
          (0..<3).reduce(0.0) { $0 + Double(Run.gradient(4, $1, name)[i]) } / Double(Run.tokens(4))
        return sum + gradient * gradient
      }
    }
    for (norm, expected) in zip(outcome.tierGradNorms + [outcome.gradNorm], squares + [squares.reduce(0, +)])
    {
      #expect(abs(norm - expected.squareRoot()) <= 1e-6 * norm)
    }
    #expect(outcome.clipScale == Float(0.5 / (outcome.gradNorm + 1e-6)))
    #expect(outcome.changedParameters && !outcome.isWithoutEffect)
  }

  @Test func aStepWithoutAnActiveTierDoesNothing() throws {
    var run = try Run { $0.tierUpdateFrequencies = [2, 2, 4] }
    let outcome = try #require(try run.go(to: 1))
    #expect(outcome.activeTiers == [] && outcome.gradNorm == 0 && outcome.tierGradNorms == [0, 0, 0])
    #expect(!outcome.changedParameters && !outcome.isWithoutEffect)
    #expect(run.state.parameters == Run.parameters)
  }

  @Test func aStepWithoutEffectIsSeen() throws {
    var tiny = try Run {
      $0.learningRate = 1e-30
      $0.tierUpdateFrequencies = [2, 2, 4]
    }
    #expect(try tiny.go(to: 1)?.isWithoutEffect == false)
    #expect(try tiny.go(to: 2)?.isWithoutEffect == true)
    var still = try Run { $0.learningRate = 0 }
    #expect(try still.go(to: 1)?.isWithoutEffect == false)
  }

  @Test(arguments: InactiveGradients.allCases)
  func whatIsNotFiniteChangesNothing(inactive: InactiveGradients) throws {
    var run = try Run { $0.inactiveGradients = inactive }
    try run.go(to: 3)
    let before = run.state.snapshot()
    let gradients: StepGradients
    switch try run.gradients(4) {
    case .sums(var sums):
      sums["p1"]?[3] = .nan
      gradients = .sums(sums)
    case .scaledMicroBatches(var microBatches):
      microBatches[2]["p1"]?[3] = .infinity
      gradients = .scaledMicroBatches(microBatches)
    case .windowTotals(var totals):
      totals["p1"]?[3] = .nan
      gradients = .windowTotals(totals)
    }
    #expect(throws: TrainerError.notFinite(name: "p1")) {
      try run.state.apply(step: 4, trainedTokens: 5, gradients: gradients)
    }
    #expect(run.state.snapshot() == before)
    try run.go(to: 4)
  }

  /// Each wrong input of step 2, which is due for p0 and p1.
  @Test func whatDoesNotBelongToTheStepIsRefused() throws {
    var run = try Run { _ in }
    try run.go(to: 1)
    let good: GradientSums = ["p0": Run.gradient(2, 0, "p0"), "p1": Run.gradient(2, 0, "p1")]
    func error(_ gradients: StepGradients, step: Int = 2, tokens: Int = 4) -> TrainerError? {
      do {
        _ = try run.state.apply(step: step, trainedTokens: tokens, gradients: gradients)
        return nil
      } catch {
        return error as? TrainerError
      }
    }
    #expect(error(.sums(good), step: 3) == .step(3, expected: 2))
    #expect(error(.sums(good), step: 1) == .step(1, expected: 2))
    #expect(error(.sums(good), tokens: 0) == .noTrainedTokens(step: 2))
    #expect(error(.sums(["p0": good["p0"] ?? []])) == .gradients(name: "p1", "is missing"))
    #expect(
      error(.sums(good.merging(["p2": [1, 2, 3, 4, 5]]) { $1 }))
        == .gradients(name: "p2", "is not due at this step"))
    #expect(
      error(.sums(good.merging(["p1": [1]]) { $1 }))
        == .gradients(name: "p1", "has 1 numbers for 5 of the parameter"))
    #expect(
      error(.scaledMicroBatches([good, good, good]))
        == .gradients(name: "the step", "came for a window, but discard needs one sum"))
    #expect(run.state.step == 1)
    #expect(error(.sums(good)) == nil)

    var windowed = try Run { $0.inactiveGradients = .sum }
    #expect(throws: TrainerError.gradients(name: "the step", "has 1 micro-batches of 3")) {
      try windowed.state.apply(step: 1, trainedTokens: 4, gradients: .scaledMicroBatches([good]))
    }
    #expect(throws: TrainerError.gradients(name: "p2", "is missing")) {
      try windowed.state.apply(step: 1, trainedTokens: 4, gradients: .scaledMicroBatches([good, good, good]))
    }
  }

  @Test func wrongParametersAreRefused() throws {
    func error(_ parameters: [String: [Float]], _ shapes: [String: [Int]] = Run.shapes) throws -> String {
      let run = try Run { _ in }
      do {
        _ = try NestedTrainerState(
          config: run.config, scheduler: run.state.scheduler, parameters: parameters, shapes: shapes)
        return "no error"
      } catch {
        return error.description
      }
    }
    var parameters = Run.parameters
    parameters["p1"] = nil
    #expect(try error(parameters) == "the parameter p1 has no values")
    parameters["p1"] = [1, 2]
    #expect(try error(parameters) == "the parameter p1 has 2 values, which the shape [5, 1] does not hold")
    parameters["p1"] = [1, 2, .nan, 4, 5]
    #expect(try error(parameters) == "the parameter p1 has a value that is not finite")
    parameters = Run.parameters.merging(["q": [1]]) { $1 }
    #expect(try error(parameters) == "the parameter q is in no tier")
    #expect(try error(Run.parameters, ["p0": [5], "p1": [5]]) == "the parameter p2 has no shape")
    #expect(
      try error(Run.parameters, Run.shapes.merging(["p0": [.max, 5]]) { $1 }).hasPrefix(
        "the parameter p0 has 5 values"))
  }
}

@Suite struct TrainerSnapshotTests {
  /// The reference is the run that was not interrupted. Step 7 is in the middle of two windows.
  @Test(arguments: InactiveGradients.allCases, OptimizerKind.allCases)
  func aRunGoesOnToTheSameBits(inactive: InactiveGradients, optimizer: OptimizerKind) throws {
    var whole = try Run {
      $0.inactiveGradients = inactive
      $0.optimizer = optimizer
      $0.weightDecay = 0.1
    }
    try whole.go(to: 7)
    let snapshot = whole.state.snapshot()
    try whole.go(to: 12)

    let numbers = try JSONValue(parsing: snapshot.numbers.text)
    var resumed = whole
    resumed.state = try NestedTrainerState(
      config: whole.config, scheduler: Run.scheduler(whole.config), shapes: Run.shapes,
      snapshot: TrainerSnapshot(tensors: snapshot.tensors.reversed(), numbers: numbers))
    #expect(resumed.state.step == 7)
    #expect(resumed.state.snapshot() == snapshot)
    try resumed.go(to: 12)
    #expect(resumed.state.snapshot() == whole.state.snapshot())
    #expect(resumed.state.snapshot() != snapshot)
  }

  @Test func tensorsAreNamedByWhatTheyAre() throws {
    var run = try Run { $0.inactiveGradients = .mean }
    try run.go(to: 2)
    let snapshot = run.state.snapshot()
    #expect(
      snapshot.tensors.map(\.name) == [
        "m/p0", "m/p1", "m/p2", "parameters/p0", "parameters/p1", "parameters/p2", "v/p0", "v/p1", "v/p2",
        "window/0/p2", "window/1/p2", "window/2/p2",
      ])
    #expect(snapshot.tensors.last?.shape == [1, 5])
    #expect(snapshot.tensors.last?.tier == 2)
    #expect(snapshot.numbers == ["format": 1, "step": 2, "update_counts": [2, 1, 0]])
    #expect(run.state.parameterTensors(tier: 1).map(\.name) == ["p1"])
    #expect(run.state.parameterTensors(tier: 1).map(\.values) == [run.state.parameters["p1"]])
  }

  @Test func damagedSnapshotsAreRefused() throws {
    var run = try Run { $0.inactiveGradients = .sum }
    try run.go(to: 3)
    let good = run.state.snapshot()
    func error(_ tensors: [NamedTensor], _ numbers: JSONValue) throws -> String {
      do {
        _ = try NestedTrainerState(
          config: run.config, scheduler: run.state.scheduler, shapes: Run.shapes,
          snapshot: TrainerSnapshot(tensors: tensors, numbers: numbers))
        return "no error"
      } catch {
        return "\(error)"
      }
    }
    func without(_ name: String) -> [NamedTensor] { good.tensors.filter { $0.name != name } }
    #expect(try error(good.tensors, good.numbers) == "no error")
    #expect(try error(without("v/p1"), good.numbers) == "the snapshot lacks the tensor v/p1")
    #expect(try error(without("window/1/p2"), good.numbers) == "the snapshot lacks the tensor window/1/p2")
    let extra = NamedTensor(name: "m/q", tier: 0, shape: [1], values: [1])
    #expect(try error(good.tensors + [extra], good.numbers) == "the snapshot has an unknown tensor, m/q")
    let bent = NamedTensor(name: "m/p0", tier: 0, shape: [1, 5], values: [1, 2, 3, 4, 5])
    #expect(
      try error(without("m/p0") + [bent], good.numbers)
        == "the snapshot has the tensor m/p0 with the shape [1, 5], not [5]")
    #expect(try error(good.tensors, ["format": 2]) == "the snapshot is not of format 1")
    #expect(try error(good.tensors, ["format": 1, "step": -1]) == "the snapshot names no step")
    #expect(
      try error(good.tensors, ["format": 1, "step": 3, "update_counts": [3, 4, 0]])
        == "the snapshot does not have the update counts of 3 tiers")
  }
}
